using System.Text.Json;
using LrtMesh.V1;

namespace LrtMesh.Core.Models.Chat;

/// <summary>
/// How a model's conversations are written: its chat templates and the texts of its special tokens. The templates are read when they
/// are first used, so that a damaged one stops no other use of the model. Safe for concurrent use.
/// </summary>
public sealed class ChatFormat
{
    private const string DefaultTemplate = "default";
    private const string ToolTemplate = "tool_use";

    private readonly Dictionary<string, Lazy<ChatTemplate>> _templates = new(StringComparer.Ordinal);
    private readonly Dictionary<string, JsonElement> _specialTokens;

    private ChatFormat(ChatFormatFiles files)
    {
        _specialTokens = files.SpecialTokens;
        foreach (var (name, (source, file)) in files.Templates)
        {
            _templates[name] = new Lazy<ChatTemplate>(() => ChatTemplate.Parse(source, file));
        }
    }

    /// <summary>Names of the templates; empty where the model has none.</summary>
    public IReadOnlyCollection<string> Templates => _templates.Keys;

    /// <summary>Reads what a model's folder says of chats.</summary>
    /// <exception cref="LrtMeshException">A file cannot be read or is damaged.</exception>
    public static ChatFormat Load(string folder) => new(ChatFormatFiles.Read(folder));

    /// <summary>The text of a conversation.</summary>
    /// <param name="chat">The conversation.</param>
    /// <param name="addGenerationPrompt">Whether the assistant is to answer, where the chat does not say.</param>
    /// <param name="field">Its path in the request, for errors.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: no template. InvalidArgument: no messages, or the template refuses them.</exception>
    public string Render(V1.Chat chat, bool addGenerationPrompt, string field) => Render(chat, addGenerationPrompt, field, TimeProvider.System);

    /// <summary>The text of a conversation, and where the contents of its messages lie in it.</summary>
    /// <returns>The text, and an entry for each message that has a content, in their order.</returns>
    /// <inheritdoc cref="Render(V1.Chat, bool, string)"/>
    public (string Text, IReadOnlyList<ContentSpan> Contents) RenderWithContents(V1.Chat chat, bool addGenerationPrompt, string field)
    {
        var clock = new StoppedClock(DateTimeOffset.UtcNow);
        var text = Render(chat, addGenerationPrompt, field, clock);
        return (text, MessageContents.Locate(chat, text, marked => Render(marked, addGenerationPrompt, field, clock)));
    }

    private string Render(V1.Chat chat, bool addGenerationPrompt, string field, TimeProvider clock)
    {
        if (chat.Messages.Count == 0)
        {
            throw LrtMeshException.Invalid($"{field}.messages", "must hold at least one message");
        }

        var variables = new Dictionary<string, JsonElement>(_specialTokens, StringComparer.Ordinal)
        {
            // As transformers has it, these are always there.
            ["tools"] = default,
            ["documents"] = default,
        };
        foreach (var variable in Fields(chat.VariablesJson, $"{field}.variables_json"))
        {
            variables[variable.Name] = variable.Value;
        }

        variables["messages"] = Messages(chat, field);
        variables["add_generation_prompt"] = JsonSerializer.SerializeToElement(chat.HasAddGenerationPrompt ? chat.AddGenerationPrompt : addGenerationPrompt);
        var hasTools = variables["tools"].ValueKind == JsonValueKind.Array && variables["tools"].GetArrayLength() > 0;
        return Find(chat.Template, hasTools, field).Render(variables, field, clock);
    }

    private ChatTemplate Find(string name, bool hasTools, string field)
    {
        if (_templates.Count == 0)
        {
            throw LrtMeshException.Mismatch(
                field, "this model has no chat template (its folder holds no chat_template.jinja, and its tokenizer_config.json no chat_template): give a prompt instead");
        }

        var wanted = name.Length > 0 ? name : hasTools && _templates.ContainsKey(ToolTemplate) ? ToolTemplate : DefaultTemplate;
        return _templates.TryGetValue(wanted, out var template)
            ? template.Value
            : throw LrtMeshException.Invalid($"{field}.template", $"the model has no template '{wanted}', and it has: {string.Join(", ", _templates.Keys)}");
    }

    private static JsonElement Messages(V1.Chat chat, string field)
    {
        try
        {
            return JsonSerializer.SerializeToElement(chat.Messages.Select((message, i) => Fields(message, $"{field}.messages[{i}]")));
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException)
        {
            throw LrtMeshException.Invalid($"{field}.messages", $"must be Unicode throughout: {e.Message}");
        }
    }

    private static Dictionary<string, JsonElement> Fields(ChatMessage message, string field)
    {
        if (message.Role.Length == 0)
        {
            throw LrtMeshException.Invalid($"{field}.role", "must say who speaks: system, user, assistant or what the template knows");
        }

        var fields = new Dictionary<string, JsonElement>(StringComparer.Ordinal)
        {
            ["role"] = JsonSerializer.SerializeToElement(message.Role),
            ["content"] = JsonSerializer.SerializeToElement(message.Content),
        };
        foreach (var more in Fields(message.FieldsJson, $"{field}.fields_json"))
        {
            if (more.Name == "role" || (more.Name == "content" && message.Content.Length > 0))
            {
                throw LrtMeshException.Invalid($"{field}.fields_json", $"must not say '{more.Name}', which {field}.{more.Name} says");
            }

            fields[more.Name] = more.Value;
        }

        return fields;
    }

    private static JsonElement.ObjectEnumerator Fields(string json, string field)
    {
        var element = JsonValues.Parse(json.Length == 0 ? "{}" : json, field);
        return element.ValueKind == JsonValueKind.Object ? element.EnumerateObject() : throw LrtMeshException.Invalid(field, "must be a JSON object");
    }

    /// <summary>Shows one time, so that renderings differ in nothing else.</summary>
    private sealed class StoppedClock(DateTimeOffset now) : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => now;
    }
}

using System.Text.Json;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>
/// Conversations as people keep them in JSON: a list of {"role", "content", ...}, or an object whose "messages" is such a list and
/// whose other fields ("tools" say) are variables of the chat template, but for "add_generation_prompt".
/// </summary>
internal static class Chats
{
    /// <summary>A conversation of one question.</summary>
    /// <param name="system">What the model is told first; null: nothing.</param>
    /// <param name="user">The question.</param>
    public static Chat Of(string? system, string user)
    {
        var chat = new Chat();
        if (system is not null)
        {
            chat.Messages.Add(new ChatMessage { Role = "system", Content = system });
        }

        chat.Messages.Add(new ChatMessage { Role = "user", Content = user });
        return chat;
    }

    /// <summary>A conversation with an answer of the assistant's at its end.</summary>
    public static Chat With(Chat chat, string answer) => new(chat) { Messages = { new ChatMessage { Role = "assistant", Content = answer } } };

    /// <summary>A conversation without its last message.</summary>
    public static Chat WithoutLast(Chat chat)
    {
        var shorter = new Chat(chat);
        shorter.Messages.RemoveAt(shorter.Messages.Count - 1);
        return shorter;
    }

    /// <summary>
    /// A conversation as models without a chat template read it, up to where the assistant speaks: "Human: …", "Assistant: …" (the form of Perez et
    /// al. 2022, 2212.09251).
    /// </summary>
    public static string Plain(Chat chat)
    {
        var turns = chat.Messages.Select(message => $"{(message.Role == "user" ? "Human" : message.Role == "assistant" ? "Assistant" : "System")}: {message.Content.Trim()}");
        return string.Join("\n\n", turns) + (chat.Messages[^1].Role == "assistant" ? "" : "\n\nAssistant:");
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="CommandException">It cannot be read, or is no conversation.</exception>
    public static Chat Read(string path)
    {
        try
        {
            return Parse(File.ReadAllText(path), path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{path}: cannot be read: {e.Message}", inner: e);
        }
    }

    /// <summary>Reads a text.</summary>
    /// <param name="json">The conversation.</param>
    /// <param name="where">Where it is from, for errors.</param>
    /// <exception cref="CommandException">It is no conversation.</exception>
    public static Chat Parse(string json, string where)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            return Of(document.RootElement, where);
        }
        catch (JsonException e)
        {
            throw new CommandException($"{where}: not JSON: {e.Message}", Layout, e);
        }
    }

    /// <summary>Reads an element of a file.</summary>
    /// <exception cref="CommandException">It is no conversation.</exception>
    public static Chat Of(JsonElement element, string where)
    {
        var chat = new Chat();
        var messages = element;
        if (element.ValueKind == JsonValueKind.Object)
        {
            messages = element.TryGetProperty("messages", out var given) ? given : throw Wrong(where, "no \"messages\"");
            if (element.TryGetProperty("add_generation_prompt", out var adds))
            {
                chat.AddGenerationPrompt = adds.ValueKind is JsonValueKind.True or JsonValueKind.False
                    ? adds.GetBoolean()
                    : throw Wrong(where, "\"add_generation_prompt\" must be true or false");
            }

            chat.VariablesJson = Rest(element, "messages", "add_generation_prompt");
        }

        if (messages.ValueKind != JsonValueKind.Array)
        {
            throw Wrong(where, "the messages are no list");
        }

        chat.Messages.AddRange(messages.EnumerateArray().Select((message, i) => MessageOf(message, $"{where}: message {i}")));
        return chat;
    }

    private const string Layout = "A conversation is a JSON list such as [{\"role\": \"user\", \"content\": \"Hello\"}].";

    private static ChatMessage MessageOf(JsonElement message, string where)
    {
        if (message.ValueKind != JsonValueKind.Object || !message.TryGetProperty("role", out var role) || role.ValueKind != JsonValueKind.String)
        {
            throw Wrong(where, "no string \"role\"");
        }

        bool isText = message.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String;
        return new ChatMessage
        {
            Role = role.GetString()!,
            Content = isText ? content.GetString()! : "",
            FieldsJson = isText ? Rest(message, "role", "content") : Rest(message, "role"),
        };
    }

    /// <summary>The other fields of an object, as JSON; empty where there are none.</summary>
    private static string Rest(JsonElement element, params string[] without)
    {
        var rest = new Dictionary<string, JsonElement>();
        foreach (var property in element.EnumerateObject().Where(property => !without.Contains(property.Name)))
        {
            rest[property.Name] = property.Value; // of two of a name, the last
        }

        return rest.Count == 0 ? "" : JsonSerializer.Serialize(rest);
    }

    private static CommandException Wrong(string where, string what) => new($"{where}: {what}.", Layout);
}

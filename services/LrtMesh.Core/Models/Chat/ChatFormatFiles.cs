using System.Text;
using System.Text.Json;

namespace LrtMesh.Core.Models.Chat;

/// <summary>
/// What the files of a model say of chats: <c>chat_template.jinja</c> and <c>additional_chat_templates/NAME.jinja</c>, or else
/// <c>chat_template</c> in tokenizer_config.json, one text or a list of {name, template}; and the special tokens, of
/// special_tokens_map.json and tokenizer_config.json, where each is a text or {content}.
/// </summary>
internal sealed class ChatFormatFiles
{
    private const long LargestFile = 64L << 20;
    private const string ConfigFile = "tokenizer_config.json";
    private const string TemplateFile = "chat_template.jinja";

    private static readonly string[] _tokenNames = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    /// <summary>Templates by name, with the file that each comes from.</summary>
    public Dictionary<string, (string Source, string File)> Templates { get; } = new(StringComparer.Ordinal);

    /// <summary>Texts of the special tokens that are named.</summary>
    public Dictionary<string, JsonElement> SpecialTokens { get; } = new(StringComparer.Ordinal);

    /// <summary>Reads a folder; files that are not there say nothing.</summary>
    /// <exception cref="LrtMeshException">A file cannot be read or is damaged.</exception>
    public static ChatFormatFiles Read(string folder)
    {
        var files = new ChatFormatFiles();
        files.ReadTokens(Path.Combine(folder, "special_tokens_map.json"));
        var config = files.ReadTokens(Path.Combine(folder, ConfigFile));
        files.ReadTemplates(folder, config);
        return files;
    }

    private void ReadTemplates(string folder, JsonElement? config)
    {
        var path = Path.Combine(folder, TemplateFile);
        if (ReadFile(path) is { } bytes)
        {
            Templates["default"] = (Text(bytes, path), path);
            var more = new DirectoryInfo(Path.Combine(folder, "additional_chat_templates"));
            foreach (var file in more.Exists ? more.GetFiles("*.jinja") : [])
            {
                Templates[Path.GetFileNameWithoutExtension(file.Name)] = (Text(ReadFile(file.FullName)!, file.FullName), file.FullName);
            }
        }
        else if (config is { } root && root.TryGetProperty("chat_template", out var template) && template.ValueKind != JsonValueKind.Null)
        {
            ReadTemplates(template, Path.Combine(folder, ConfigFile));
        }
    }

    private void ReadTemplates(JsonElement template, string path)
    {
        if (template.ValueKind == JsonValueKind.String)
        {
            Templates["default"] = (String(template, path, "chat_template"), path);
            return;
        }

        if (template.ValueKind != JsonValueKind.Array)
        {
            throw Damaged(path, "chat_template must be a text or a list of {name, template}");
        }

        foreach (var one in template.EnumerateArray())
        {
            var named = one.ValueKind == JsonValueKind.Object && one.TryGetProperty("name", out var name) ? String(name, path, "chat_template.name") : null;
            if (named is null || !one.TryGetProperty("template", out var source) || !Templates.TryAdd(named, (String(source, path, "chat_template.template"), path)))
            {
                throw Damaged(path, "chat_template must be a text or a list of {name, template}, each name once");
            }
        }
    }

    private JsonElement? ReadTokens(string path)
    {
        if (ReadFile(path) is not { } bytes)
        {
            return null;
        }

        try
        {
            using var document = JsonDocument.Parse(bytes);
            var root = document.RootElement.Clone();
            if (root.ValueKind != JsonValueKind.Object)
            {
                throw Damaged(path, "must be a JSON object");
            }

            foreach (var name in _tokenNames)
            {
                if (root.TryGetProperty(name, out var token) && TextOf(token) is { } text)
                {
                    SpecialTokens[name] = text;
                }
            }

            return root;
        }
        catch (JsonException e)
        {
            throw Damaged(path, $"is not JSON: {e.Message}");
        }
    }

    private static JsonElement? TextOf(JsonElement token) => token.ValueKind switch
    {
        JsonValueKind.String => token,
        JsonValueKind.Object when token.TryGetProperty("content", out var content) && content.ValueKind == JsonValueKind.String => content,
        _ => null,
    };

    private static string String(JsonElement element, string path, string what)
    {
        try
        {
            return element.GetString() ?? throw Damaged(path, $"{what} must be a text");
        }
        catch (InvalidOperationException e)
        {
            throw Damaged(path, $"{what} must be a text: {e.Message}");
        }
    }

    private static string Text(byte[] bytes, string path)
    {
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            throw Damaged(path, "is not UTF-8");
        }
    }

    private static byte[]? ReadFile(string path)
    {
        try
        {
            var file = new FileInfo(path);
            return !file.Exists ? null : file.Length <= LargestFile ? File.ReadAllBytes(path) : throw Damaged(path, $"has {file.Length} bytes; at most {LargestFile} are read");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: cannot be read: {e.Message}", e);
        }
    }

    private static LrtMeshException Damaged(string path, string description) => new(ErrorReason.DataLoss, $"{path}: {description}");
}

using System.Text.Json;

namespace LrtMesh.Core.Models.Families;

/// <summary>
/// A config.json, or an object within one, whose errors name the file and the key. It remembers which keys were asked for, so
/// that what nobody understood can be refused.
/// </summary>
public sealed class ConfigFile
{
    private readonly string _path;
    private readonly string _within; // "" or "rope_scaling."
    private readonly JsonElement _root;
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);
    private readonly List<ConfigFile> _sections = [];

    private ConfigFile(string path, string within, JsonElement root)
    {
        _path = path;
        _within = within;
        _root = root;
    }

    /// <summary>Reads the config.json of a checkpoint's folder.</summary>
    public static ConfigFile Read(string folder) => ReadFile(Path.Combine(folder, "config.json"));

    /// <summary>Reads a config.json.</summary>
    public static ConfigFile ReadFile(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path), new JsonDocumentOptions { AllowDuplicateProperties = false });
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? new ConfigFile(path, "", document.RootElement.Clone())
                : throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: must be a JSON object");
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // A text that is not UTF-8 is an InvalidOperationException.
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: is not JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, $"{path}: cannot be read ({e.Message}); a model folder holds config.json, tokenizer.json and model.safetensors", e);
        }
    }

    /// <summary>Reads another file of a checkpoint's folder; null where there is none.</summary>
    public static ConfigFile? ReadIfPresent(string folder, string name) =>
        File.Exists(Path.Combine(folder, name)) ? ReadFile(Path.Combine(folder, name)) : null;

    /// <summary>An error at a key of this file.</summary>
    public LrtMeshException Error(string key, string description) =>
        new(ErrorReason.FailedPrecondition, $"{_path}: {_within}{key}: {description}");

    /// <summary>Whether a key is there, be it null: transformers tells an absent key from null.</summary>
    public bool Has(string key) => _root.TryGetProperty(key, out _);

    /// <summary>Takes note of keys that change nothing here.</summary>
    public void Ignore(params string[] keys) => _read.UnionWith(keys);

    /// <summary>A required text.</summary>
    public string Text(string key) => Text(key, null) ?? throw Error(key, "must be a string");

    /// <summary>A text.</summary>
    public string? Text(string key, string? fallback) => Find(key) switch
    {
        null => fallback,
        { ValueKind: JsonValueKind.String } value => value.GetString()!,
        _ => throw Error(key, "must be a string"),
    };

    /// <summary>Texts; null where the key is absent.</summary>
    public IReadOnlyList<string>? Texts(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Array } many when many.EnumerateArray().All(e => e.ValueKind == JsonValueKind.String) =>
            [.. many.EnumerateArray().Select(e => e.GetString()!)],
        _ => throw Error(key, "must be a list of strings"),
    };

    /// <summary>A required size: an integer of at least 1.</summary>
    public int Size(string key, int? fallback = null) => SizeOrNull(key) ?? fallback ?? throw Error(key, "is missing");

    /// <summary>A size; null where the key is absent or null.</summary>
    public int? SizeOrNull(string key)
    {
        if (Find(key) is not { } value)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var size) && size > 0
            ? size
            : throw Error(key, "must be an integer of at least 1");
    }

    /// <summary>A count: an integer of at least 0; null where the key is absent or null.</summary>
    public int? CountOrNull(string key) => Find(key) switch
    {
        null => null,
        { ValueKind: JsonValueKind.Number } value when value.TryGetInt32(out var count) && count >= 0 => count,
        _ => throw Error(key, "must be an integer of at least 0"),
    };

    /// <summary>A positive finite number.</summary>
    public double Number(string key, double? fallback = null) => NumberOrNull(key) ?? fallback ?? throw Error(key, "is missing");

    /// <summary>A positive finite number; null where the key is absent or null.</summary>
    public double? NumberOrNull(string key)
    {
        if (Find(key) is not { } value)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number) && number > 0
            ? number
            : throw Error(key, "must be a positive number");
    }

    /// <summary>Positive finite numbers.</summary>
    public IReadOnlyList<double> Numbers(string key, int count)
    {
        if (Find(key) is { ValueKind: JsonValueKind.Array } values && values.GetArrayLength() == count
            && values.EnumerateArray().All(e => e.ValueKind == JsonValueKind.Number && e.TryGetDouble(out var n) && double.IsFinite(n) && n > 0))
        {
            return [.. values.EnumerateArray().Select(e => e.GetDouble())];
        }

        throw Error(key, $"must be a list of {count} positive numbers");
    }

    /// <summary>A flag.</summary>
    public bool Flag(string key, bool fallback) => Find(key) switch
    {
        null => fallback,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        _ => throw Error(key, "must be true or false"),
    };

    /// <summary>A token id or a list of them; empty where the key is absent.</summary>
    public IReadOnlyList<int> Ids(string key) => Find(key) switch
    {
        null => [],
        { ValueKind: JsonValueKind.Number } one when one.TryGetInt32(out var id) => [id],
        { ValueKind: JsonValueKind.Array } many when many.EnumerateArray().All(e => e.ValueKind == JsonValueKind.Number && e.TryGetInt32(out _)) =>
            [.. many.EnumerateArray().Select(e => e.GetInt32())],
        _ => throw Error(key, "must be a token id or a list of token ids"),
    };

    /// <summary>An object within this one; null where the key is absent.</summary>
    public ConfigFile? Section(string key)
    {
        if (Find(key) is not { } value)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            throw Error(key, "must be an object");
        }

        var section = new ConfigFile(_path, $"{_within}{key}.", value);
        _sections.Add(section);
        return section;
    }

    /// <summary>Refuses a flag that this decoder does not compute.</summary>
    public void Require(string key, bool value)
    {
        if (Flag(key, value) != value)
        {
            throw Error(key, $"only {(value ? "true" : "false")} is supported");
        }
    }

    /// <summary>Refuses an option that this decoder does not have; null counts as absent.</summary>
    public void RequireAbsent(string key, string why)
    {
        if (Find(key) is { } given)
        {
            throw Error(key, $"is {given.GetRawText()}, and {why}");
        }
    }

    /// <summary>
    /// Refuses the first key that nobody asked for, unless it is known to change nothing or says that something is off (null or false): an
    /// option that is not understood is never guessed at.
    /// </summary>
    public void RefuseUnread()
    {
        foreach (var property in _root.EnumerateObject())
        {
            if (!_read.Contains(property.Name) && !HarmlessKeys.Contains(property.Name, property.Value))
            {
                throw Error(property.Name, $"is {Shortened(property.Value)}: this option is not understood, and it might change what the model computes");
            }
        }

        foreach (var section in _sections)
        {
            section.RefuseUnread();
        }
    }

    private static string Shortened(JsonElement value) => value.GetRawText() is { Length: > 60 } text ? text[..60] + "…" : value.GetRawText();

    private JsonElement? Find(string key)
    {
        _read.Add(key);
        return _root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }
}

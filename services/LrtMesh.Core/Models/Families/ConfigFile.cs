using System.Text.Json;

namespace LrtMesh.Core.Models.Families;

/// <summary>A config.json, whose errors name the file and the key.</summary>
public sealed class ConfigFile
{
    private readonly string _path;
    private readonly JsonElement _root;

    private ConfigFile(string path, JsonElement root)
    {
        _path = path;
        _root = root;
    }

    /// <summary>Reads the config.json of a checkpoint's folder.</summary>
    public static ConfigFile Read(string folder) => ReadFile(Path.Combine(folder, "config.json"));

    /// <summary>Reads a config.json.</summary>
    public static ConfigFile ReadFile(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: must be a JSON object");
            }

            return new ConfigFile(path, document.RootElement.Clone());
        }
        catch (JsonException e)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: is not JSON: {e.Message}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, $"{path}: cannot be read ({e.Message}); a model folder holds config.json, tokenizer.json and model.safetensors", e);
        }
    }

    /// <summary>An error at a key of this file.</summary>
    public LrtMeshException Error(string key, string description) =>
        new(ErrorReason.FailedPrecondition, $"{_path}: {key}: {description}");

    /// <summary>A required text.</summary>
    public string Text(string key) =>
        Find(key) is { ValueKind: JsonValueKind.String } value ? value.GetString()! : throw Error(key, "must be a string");

    /// <summary>A size: an integer of at least 1.</summary>
    public int Size(string key, int? fallback = null)
    {
        if (Find(key) is not { } value)
        {
            return fallback ?? throw Error(key, "is missing");
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var size) && size > 0
            ? size
            : throw Error(key, "must be an integer of at least 1");
    }

    /// <summary>A positive finite number.</summary>
    public double Number(string key, double fallback)
    {
        if (Find(key) is not { } value)
        {
            return fallback;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out var number) && double.IsFinite(number) && number > 0
            ? number
            : throw Error(key, "must be a positive number");
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
        { ValueKind: JsonValueKind.Array } many when many.EnumerateArray().All(e => e.TryGetInt32(out _)) =>
            [.. many.EnumerateArray().Select(e => e.GetInt32())],
        _ => throw Error(key, "must be a token id or a list of token ids"),
    };

    /// <summary>Refuses a value that this decoder does not compute.</summary>
    public void Require(string key, string value)
    {
        if (Find(key) is { } given && (given.ValueKind != JsonValueKind.String || given.GetString() != value))
        {
            throw Error(key, $"only \"{value}\" is supported, not {given.GetRawText()}");
        }
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
    public void RequireAbsent(string key)
    {
        if (Find(key) is { } given)
        {
            throw Error(key, $"is not supported here, and it is {given.GetRawText()}");
        }
    }

    private JsonElement? Find(string key) =>
        _root.TryGetProperty(key, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
}

using System.Text.Json;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// An object of a tokenizer's file, read field by field. Whatever is not read is not understood, and <see cref="Done"/> refuses
/// it by name, since a guess would give other ids than the model was trained with.
/// </summary>
internal sealed class JsonSection
{
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly string _file;
    private readonly string _place;
    private readonly JsonElement _element;
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);

    private JsonSection(string file, string place, JsonElement element)
    {
        (_file, _place, _element) = (file, place, element);
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw LrtMeshException.Mismatch($"{file}: {place.TrimEnd('.')}", $"must be an object, not {Shortened(element)}");
        }
    }

    /// <summary>Reads a file whose root is an object.</summary>
    /// <typeparam name="T">What is read from it.</typeparam>
    /// <exception cref="LrtMeshException">DATA_LOSS: it is not JSON, or a value is of another kind than it must be.</exception>
    public static T Read<T>(string path, byte[] bytes, Func<JsonSection, T> read)
    {
        try
        {
            ReadOnlyMemory<byte> json = bytes.AsSpan().StartsWith("\uFEFF"u8) ? bytes.AsMemory(3) : bytes;
            using var document = JsonDocument.Parse(json, Strict);
            return read(new JsonSection(path, "", document.RootElement));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            // The last three are what JsonElement throws where an element is of another kind, or missing.
            throw new LrtMeshException(ErrorReason.DataLoss, $"{path} is not a tokenizer's description: {e.Message}", e);
        }
    }

    /// <summary>What the field "type" says.</summary>
    public string Type => Text("type");

    /// <summary>Whether a field is there and not null.</summary>
    public bool Has(string field) => Find(field) is not null;

    /// <summary>A text.</summary>
    public string Text(string field) => TextOf(Needed(field), field);

    /// <summary>A text, or null.</summary>
    public string? OptionalText(string field) => Find(field) is { } value ? TextOf(value, field) : null;

    /// <summary>A truth value.</summary>
    public bool Flag(string field) => FlagOf(Needed(field), field);

    /// <summary>A truth value, or null.</summary>
    public bool? OptionalFlag(string field) => Find(field) is { } value ? FlagOf(value, field) : null;

    /// <summary>A number from 0 to 2^31 - 1.</summary>
    public int Number(string field) => NumberOf(Needed(field), field);

    /// <summary>A number, or null.</summary>
    public int? OptionalNumber(string field) => Find(field) is { } value ? NumberOf(value, field) : null;

    /// <summary>An object.</summary>
    public JsonSection Section(string field) => new(_file, $"{_place}{field}.", Needed(field));

    /// <summary>An object, or null.</summary>
    public JsonSection? OptionalSection(string field) => Find(field) is { } value ? new JsonSection(_file, $"{_place}{field}.", value) : null;

    /// <summary>An array's objects; none if it is not there.</summary>
    public IEnumerable<JsonSection> Sections(string field) =>
        Elements(field).Select((element, index) => new JsonSection(_file, $"{_place}{field}[{index}].", element));

    /// <summary>An array's elements; none if it is not there.</summary>
    public IEnumerable<JsonElement> Elements(string field) => Find(field) is not { } value ? []
        : value.ValueKind == JsonValueKind.Array ? value.EnumerateArray()
        : throw Damaged(field, $"must be an array, not {Shortened(value)}");

    /// <summary>All fields of this object, each of which counts as read.</summary>
    public IEnumerable<JsonProperty> Properties()
    {
        foreach (var property in _element.EnumerateObject())
        {
            _read.Add(property.Name);
            yield return property;
        }
    }

    /// <summary>The field as it stands; null if it is missing or null.</summary>
    public JsonElement? Find(string field)
    {
        _read.Add(field);
        return _element.TryGetProperty(field, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
    }

    /// <summary>Marks fields that change nothing here.</summary>
    public void Ignore(params ReadOnlySpan<string> fields)
    {
        foreach (var field in fields)
        {
            _read.Add(field);
        }
    }

    /// <summary>Refuses what has not been read.</summary>
    /// <exception cref="LrtMeshException">FAILED_PRECONDITION, with file and field.</exception>
    public void Done()
    {
        foreach (var property in _element.EnumerateObject().Where(property => !_read.Contains(property.Name)))
        {
            throw Unsupported(property.Name, "is not a field that is known here");
        }
    }

    /// <summary>The error for a field that is not supported as it is.</summary>
    public LrtMeshException Unsupported(string field, string description) => LrtMeshException.Mismatch($"{_file}: {_place}{field}", description);

    /// <summary>The error for a field that no tokenizer can have as it is.</summary>
    public LrtMeshException Damaged(string field, string description) =>
        new(ErrorReason.DataLoss, [new Violation($"{_file}: {_place}{field}", description)]);

    private static string Shortened(JsonElement element) => element.GetRawText() is var text && text.Length > 60 ? text[..60] + "..." : text;

    private JsonElement Needed(string field) => Find(field) ?? throw Damaged(field, "is missing");

    private string TextOf(JsonElement value, string field) =>
        value.ValueKind == JsonValueKind.String ? value.GetString()! : throw Damaged(field, $"must be a text, not {Shortened(value)}");

    private bool FlagOf(JsonElement value, string field) => value.ValueKind is JsonValueKind.True or JsonValueKind.False
        ? value.GetBoolean()
        : throw Damaged(field, $"must be true or false, not {Shortened(value)}");

    private int NumberOf(JsonElement value, string field) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number) && number >= 0
            ? number
            : throw Damaged(field, $"must be a number from 0 to {int.MaxValue}, not {Shortened(value)}");
}

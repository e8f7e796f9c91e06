using System.Text.Json;

namespace LrtMesh.Core.Models;

/// <summary>Where a tensor lies in its file.</summary>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its sizes; empty for a single number.</param>
/// <param name="Begin">Its first byte, counted from the end of the header.</param>
/// <param name="End">One past its last byte.</param>
public sealed record StoredTensor(SafetensorsType Type, IReadOnlyList<long> Shape, long Begin, long End)
{
    /// <summary>Its bytes.</summary>
    public long Length => End - Begin;

    /// <summary>Its elements.</summary>
    public long Elements => Shape.Aggregate(1L, (product, size) => product * size);
}

/// <summary>
/// The JSON at the start of a safetensors file. It is read token by token, so that a hostile header takes no more memory
/// than its own bytes; nothing in it is believed before all of it is checked.
/// </summary>
internal static class SafetensorsHeader
{
    private const string Metadata = "__metadata__";
    private const int ShownCharacters = 200; // of a name in an error
    private const int MaxDimensions = 64; // as many as torch has

    /// <summary>Reads and checks a header.</summary>
    /// <param name="header">Its bytes.</param>
    /// <param name="dataLength">Bytes of the file after the header, which the tensors must fill without gap or overlap.</param>
    /// <exception cref="FormatException">What is wrong, naming the tensor.</exception>
    public static Dictionary<string, StoredTensor> Parse(ReadOnlySpan<byte> header, long dataLength)
    {
        if (header is not [(byte)'{', ..])
        {
            throw new FormatException("the header is not a JSON object");
        }

        Dictionary<string, StoredTensor> tensors;
        try
        {
            tensors = ReadTensors(header);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // A text that is not UTF-8 is an InvalidOperationException, and only once it is read.
            throw new FormatException($"the header is not JSON in UTF-8: {e.Message}");
        }

        CheckTiling(tensors, dataLength);
        return tensors;
    }

    /// <summary>A name as an error shows it: names come from the file and may be of any length.</summary>
    public static string Shown(string name) => name.Length <= ShownCharacters ? name : name[..ShownCharacters] + "…";

    private static Dictionary<string, StoredTensor> ReadTensors(ReadOnlySpan<byte> header)
    {
        var tensors = new Dictionary<string, StoredTensor>(StringComparer.Ordinal);
        var metadata = false;
        var json = new Utf8JsonReader(header);
        json.Read(); // the opening brace
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var name = json.GetString()!;
            json.Read();
            if (name == Metadata)
            {
                if (metadata)
                {
                    throw new FormatException($"{Metadata} is given twice");
                }

                metadata = true;
                SkipMetadata(ref json);
            }
            else if (!tensors.TryAdd(name, ReadTensor(ref json, name)))
            {
                throw new FormatException($"tensor '{Shown(name)}' is given twice");
            }
        }

        while (json.Read())
        {
            // What is left must be white space, and the reader throws if it is not.
        }

        return tensors;
    }

    private static void SkipMetadata(ref Utf8JsonReader json)
    {
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw new FormatException($"{Metadata} must be an object of texts");
        }

        var keys = new HashSet<string>(StringComparer.Ordinal);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var key = json.GetString()!;
            json.Read();
            if (json.TokenType != JsonTokenType.String)
            {
                throw new FormatException($"{Metadata}: '{Shown(key)}' must be a text");
            }

            if (!keys.Add(key))
            {
                throw new FormatException($"{Metadata}: '{Shown(key)}' is given twice");
            }

            json.GetString();
        }
    }

    private static StoredTensor ReadTensor(ref Utf8JsonReader json, string name)
    {
        string? type = null;
        List<long>? shape = null, offsets = null;
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw NotDescribed(name);
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            var key = json.GetString();
            json.Read();
            switch (key)
            {
                case "dtype" when type is null && json.TokenType == JsonTokenType.String:
                    type = json.GetString();
                    break;
                case "shape" when shape is null:
                    shape = ReadSizes(ref json, name, key);
                    break;
                case "data_offsets" when offsets is null:
                    offsets = ReadSizes(ref json, name, key);
                    break;
                default:
                    throw NotDescribed(name);
            }
        }

        if (type is null || shape is null || offsets is not [var begin, var end])
        {
            throw NotDescribed(name);
        }

        var stored = SafetensorsType.Find(type)
            ?? throw new FormatException($"tensor '{Shown(name)}' has dtype {Shown(type)}, which the format does not have");
        if (end < begin)
        {
            throw new FormatException($"tensor '{Shown(name)}' ends at byte {end} of the data, before its start at {begin}");
        }

        if (stored.BytesOf(shape) is not { } bytes)
        {
            throw new FormatException($"tensor '{Shown(name)}' has a shape whose size does not fit 63 bits or no whole number of bytes");
        }

        return bytes == end - begin
            ? new StoredTensor(stored, shape, begin, end)
            : throw new FormatException($"tensor '{Shown(name)}' takes {bytes} bytes by its shape and {end - begin} by its offsets");
    }

    private static List<long> ReadSizes(ref Utf8JsonReader json, string name, string key)
    {
        var sizes = new List<long>();
        if (json.TokenType != JsonTokenType.StartArray)
        {
            throw NotDescribed(name);
        }

        while (json.Read() && json.TokenType != JsonTokenType.EndArray)
        {
            if (sizes.Count == MaxDimensions)
            {
                throw new FormatException($"tensor '{Shown(name)}': {key} has more than {MaxDimensions} entries");
            }

            sizes.Add(json.TokenType == JsonTokenType.Number && json.TryGetInt64(out var size) && size >= 0
                ? size
                : throw new FormatException($"tensor '{Shown(name)}': {key} must be a list of integers from 0 to {long.MaxValue}"));
        }

        return sizes;
    }

    /// <summary>The ranges must tile the data: no gap, no overlap, no byte outside.</summary>
    private static void CheckTiling(Dictionary<string, StoredTensor> tensors, long dataLength)
    {
        var expected = 0L;
        foreach (var (name, tensor) in tensors.OrderBy(t => t.Value.Begin).ThenBy(t => t.Value.End))
        {
            if (tensor.Begin != expected)
            {
                throw new FormatException(
                    $"tensor '{Shown(name)}' starts at byte {tensor.Begin} of the data, and {expected} is where the one before ends");
            }

            if (tensor.End > dataLength)
            {
                throw new FormatException($"tensor '{Shown(name)}' ends at byte {tensor.End} of the data, and the file holds {dataLength}");
            }

            expected = tensor.End;
        }

        if (expected != dataLength)
        {
            throw new FormatException($"the tensors take {expected} bytes, and the file holds {dataLength}");
        }
    }

    private static FormatException NotDescribed(string name) =>
        new($"tensor '{Shown(name)}' must be described by dtype, shape and data_offsets [begin, end], each once, and by nothing else");
}

using System.Text.Json;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// The options of tokenizer.json that are supported. Any other is refused by name, since a guess would give other ids than
/// the model was trained with.
/// </summary>
internal static class PipelineOptions
{
    private const string Absent = "(absent)";

    /// <summary>The file's own options. No values: any, since the option has no effect here or is checked where it is read.</summary>
    public static readonly (string Option, string[] Values)[] File =
    [
        ("version", []), ("added_tokens", []), ("model", []), ("pre_tokenizer", []), ("post_processor", []), ("decoder", []),
        ("normalizer", ["null", Absent]), ("truncation", ["null", Absent]), ("padding", ["null", Absent]),
    ];

    /// <summary>The model's. Every byte is a token and nothing is ever unknown: options for unknown symbols have no effect.</summary>
    public static readonly (string Option, string[] Values)[] Model =
    [
        ("type", ["\"BPE\"", Absent]), ("vocab", []), ("merges", []), ("unk_token", []), ("fuse_unk", []), ("byte_fallback", []),
        ("dropout", ["null", Absent]), ("continuing_subword_prefix", ["null", "\"\"", Absent]),
        ("end_of_word_suffix", ["null", "\"\"", Absent]), ("ignore_merges", ["false", Absent]),
    ];

    /// <summary>What cuts a text into words.</summary>
    public static readonly (string Option, string[] Values)[] PreTokenizer =
    [
        ("type", ["\"ByteLevel\""]), ("add_prefix_space", ["false"]), ("use_regex", ["true", Absent]), ("trim_offsets", []),
    ];

    /// <summary>What joins tokens to a text.</summary>
    public static readonly (string Option, string[] Values)[] Decoder =
    [
        ("type", ["\"ByteLevel\""]), ("add_prefix_space", []), ("use_regex", []), ("trim_offsets", []),
    ];

    /// <summary>What adds tokens around a text; a ByteLevel in this place only trims offsets, which are not trimmed here.</summary>
    public static readonly (string Option, string[] Values)[] PostProcessor =
    [
        ("type", ["\"TemplateProcessing\"", "\"ByteLevel\""]), ("single", []), ("pair", []), ("special_tokens", []),
        ("add_prefix_space", []), ("use_regex", []), ("trim_offsets", []),
    ];

    /// <summary>An added token's.</summary>
    public static readonly (string Option, string[] Values)[] AddedToken =
    [
        ("id", []), ("content", []), ("single_word", ["false"]), ("lstrip", ["false"]), ("rstrip", ["false"]),
        ("normalized", ["true", "false"]), ("special", ["true", "false"]),
    ];

    /// <summary>Refuses a section of the file that has an option or a value which is not supported.</summary>
    /// <param name="path">The file.</param>
    /// <param name="section">Where the section stands in it, ending in a dot; empty for the whole.</param>
    /// <param name="element">The section.</param>
    /// <param name="supported">One of the tables above.</param>
    /// <exception cref="LrtMeshException">FAILED_PRECONDITION, with file, option and what is supported.</exception>
    public static void Check(string path, string section, JsonElement element, (string Option, string[] Values)[] supported)
    {
        if (element.ValueKind != JsonValueKind.Object)
        {
            throw Unsupported(path, section.TrimEnd('.'), $"{element.GetRawText()} is not supported");
        }

        foreach (var (option, values) in supported)
        {
            var value = element.TryGetProperty(option, out var found) ? found.GetRawText() : Absent;
            if (values.Length > 0 && !values.Contains(value))
            {
                throw Unsupported(path, section + option, $"must be {string.Join(" or ", values)}, not {value}");
            }
        }

        foreach (var property in element.EnumerateObject())
        {
            if (!supported.Any(entry => entry.Option == property.Name))
            {
                throw Unsupported(path, section + property.Name, "is not an option that is known here");
            }
        }
    }

    /// <summary>The error for an option that is not supported.</summary>
    public static LrtMeshException Unsupported(string path, string option, string description) =>
        LrtMeshException.Mismatch($"{path}: {option}", description);
}

using System.Text.Json;
using System.Text.Json.Serialization;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>Recorded cases of a tokenizer, and whether <see cref="Tokenizer"/> agrees with them.</summary>
public static class TokenizerCases
{
    private const long LargestFile = 256L << 20; // bytes

    private static readonly JsonSerializerOptions Options = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>A text, and what the reference makes of it: the fields of an element of cases.json.</summary>
    /// <param name="Text">The text.</param>
    /// <param name="Ids">Its tokens.</param>
    /// <param name="AddSpecialTokens">Whether the tokens that begin and end a sequence were added.</param>
    /// <param name="Decoded">What decoding the ids gives, special tokens among it; null: not looked at.</param>
    /// <param name="DecodedSkipSpecial">What decoding gives without special tokens; null: not looked at.</param>
    public sealed record Recorded(
        [property: JsonRequired] string Text, [property: JsonRequired] int[] Ids, bool AddSpecialTokens = false, string? Decoded = null,
        string? DecodedSkipSpecial = null);

    /// <summary>A case that does not agree: the text, and what was expected and got, of the first of ids and texts that differs.</summary>
    public sealed record Failure(string Text, string Expected, string Got);

    /// <summary>What came of running cases.</summary>
    /// <param name="Passed">All agree, and there are some.</param>
    /// <param name="Cases">How many were run.</param>
    /// <param name="Failed">Those that do not agree.</param>
    public sealed record Result(bool Passed, int Cases, IReadOnlyList<Failure> Failed)
    {
        /// <summary>The same facts as JSON: passed, cases, failed with text, expected and got.</summary>
        public string ToJson() => JsonSerializer.Serialize(this, Options);
    }

    /// <summary>Runs a tokenizer over recorded cases.</summary>
    /// <param name="folder">The tokenizer's folder.</param>
    /// <param name="casesFile">A JSON list of cases.</param>
    /// <exception cref="LrtMeshException">The tokenizer cannot be read (as <see cref="Tokenizer.Load"/> says), or the cases cannot.</exception>
    public static Result Run(string folder, string casesFile)
    {
        var cases = Read(casesFile);
        var tokenizer = Tokenizer.Load(folder);
        Failure[] failed = [.. cases.Select(each => Check(tokenizer, each)).OfType<Failure>()];
        return new Result(failed.Length == 0, cases.Length, failed);
    }

    private static Recorded[] Read(string path)
    {
        if (!File.Exists(path))
        {
            throw LrtMeshException.NotFound(path, "no such file; it must be a JSON list of cases");
        }

        try
        {
            using var file = File.OpenRead(path);
            return file.Length <= LargestFile && JsonSerializer.Deserialize<Recorded[]>(file, Options) is { Length: > 0 } cases && cases.All(each => each is not null)
                ? cases
                : throw new LrtMeshException(ErrorReason.DataLoss, [new Violation(path, "must be a list of at least one case")]);
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(ErrorReason.DataLoss, $"{path} is not a list of cases: {e.Message}", e);
        }
    }

    private static Failure? Check(Tokenizer tokenizer, Recorded expected)
    {
        int[] ids = [.. tokenizer.Encode(expected.Text, expected.AddSpecialTokens).Select(token => token.Id)];
        if (!ids.AsSpan().SequenceEqual(expected.Ids))
        {
            return new Failure(expected.Text, string.Join(' ', expected.Ids), string.Join(' ', ids));
        }

        foreach (var (text, skip) in new[] { (expected.Decoded, false), (expected.DecodedSkipSpecial, true) })
        {
            if (text is not null && tokenizer.Decode(ids, skip) is var got && got != text)
            {
                return new Failure(expected.Text, text, got);
            }
        }

        return null;
    }
}

using System.Text.Json;
using System.Text.Json.Serialization;
using LrtMesh.Core.Models.Tokenizers;

namespace LrtMesh.Core.Verification;

/// <summary>Recorded cases of a tokenizer, and whether <see cref="Tokenizer"/> agrees with them.</summary>
public static class TokenizerCases
{
    private static readonly JsonSerializerOptions Options = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    /// <summary>A text, and what the reference makes of it: the fields of an element of cases.json.</summary>
    /// <param name="Text">The text.</param>
    /// <param name="Ids">Its tokens.</param>
    /// <param name="AddSpecialTokens">Whether the tokens that begin and end a sequence were added.</param>
    /// <param name="Decoded">What decoding the ids gives, special tokens among it; null: not looked at.</param>
    /// <param name="DecodedSkipSpecial">What decoding gives without special tokens; null: not looked at.</param>
    private sealed record Recorded(
        [property: JsonRequired] string Text, [property: JsonRequired] int[] Ids, bool AddSpecialTokens = false, string? Decoded = null,
        string? DecodedSkipSpecial = null);

    /// <summary>Runs a tokenizer over recorded cases. Of a case that differs, the first of ids and texts that does is reported.</summary>
    /// <param name="folder">The tokenizer's folder.</param>
    /// <param name="path">A JSON list of cases.</param>
    /// <exception cref="LrtMeshException">The tokenizer cannot be read (as <see cref="Tokenizer.Load"/> says), or the cases cannot.</exception>
    public static CaseReport Run(string folder, string path)
    {
        var tokenizer = Tokenizer.Load(folder);
        return CaseReport.Run(path, one => Check(tokenizer, one.Deserialize<Recorded>(Options) ?? throw new FormatException("null is no case")));
    }

    private static IEnumerable<FailedCase> Check(Tokenizer tokenizer, Recorded expected)
    {
        int[] ids = [.. tokenizer.Encode(expected.Text, expected.AddSpecialTokens).Select(token => token.Id)];
        if (!ids.AsSpan().SequenceEqual(expected.Ids))
        {
            return [new FailedCase(expected.Text, string.Join(' ', expected.Ids), string.Join(' ', ids))];
        }

        foreach (var (text, skip) in new[] { (expected.Decoded, false), (expected.DecodedSkipSpecial, true) })
        {
            if (text is not null && tokenizer.Decode(ids, skip) is var got && got != text)
            {
                return [new FailedCase(expected.Text, text, got)];
            }
        }

        return [];
    }
}

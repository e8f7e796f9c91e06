using System.Buffers;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>A token that is recognised in a text as it is written, before the text is cut into words.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">How it is written.</param>
/// <param name="Normalized">Looked for in the normalized text, in what the tokens that are not normalized leave over.</param>
/// <param name="Special">Left out of decoded text.</param>
/// <param name="SingleWord">Recognised only where no word character touches it.</param>
/// <param name="LeftStrip">Takes the white space in front of it.</param>
/// <param name="RightStrip">Takes the white space behind it.</param>
internal sealed record AddedToken(
    int Id, string Content, bool Normalized, bool Special, bool SingleWord = false, bool LeftStrip = false, bool RightStrip = false);

/// <summary>
/// Finds added tokens in a text: the leftmost, the longest of those that start there. Source: Hugging Face tokenizers,
/// AddedVocabulary::find_matches.
/// </summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<string, AddedToken> _tokens = new(StringComparer.Ordinal);
    private readonly int[] _lengths; // longest first
    private readonly SearchValues<string> _patterns;

    /// <param name="tokens">What to look for, and for which token; of equal patterns the first counts.</param>
    public AddedTokens(IEnumerable<(string Pattern, AddedToken Token)> tokens)
    {
        foreach (var (pattern, token) in tokens)
        {
            _tokens.TryAdd(pattern, token);
        }

        _lengths = [.. _tokens.Keys.Select(pattern => pattern.Length).Distinct().OrderDescending()];
        _patterns = SearchValues.Create([.. _tokens.Keys], StringComparison.Ordinal);
    }

    /// <summary>Cuts a text into added tokens and what lies between them (a null token).</summary>
    public List<(int Start, int End, AddedToken? Token)> Find(ReadOnlySpan<char> text)
    {
        List<(int Start, int End, AddedToken? Token)> pieces = [];
        var done = 0;
        for (var from = 0; from < text.Length && _lengths.Length > 0;)
        {
            var found = text[from..].IndexOfAny(_patterns);
            if (found < 0)
            {
                break;
            }

            var (start, token, length) = (from + found, default(AddedToken), 0);
            (token, length) = LongestAt(text[start..]);
            var end = from = start + length;
            if (token.SingleWord && (TouchesWordBefore(text[..start]) || TouchesWordAfter(text[end..])))
            {
                continue;
            }

            if (token.LeftStrip)
            {
                start = Math.Max(text[..start].TrimEnd().Length, done);
            }

            if (token.RightStrip)
            {
                end += text.Length - end - text[end..].TrimStart().Length;
            }

            if (done < start)
            {
                pieces.Add((done, start, null));
            }

            pieces.Add((start, end, token));
            done = end;
        }

        if (done < text.Length)
        {
            pieces.Add((done, text.Length, null));
        }

        return pieces;
    }

    private static bool TouchesWordBefore(ReadOnlySpan<char> text) =>
        Rune.DecodeLastFromUtf16(text, out var rune, out _) == OperationStatus.Done && Characters.IsWord(rune);

    private static bool TouchesWordAfter(ReadOnlySpan<char> text) =>
        Rune.DecodeFromUtf16(text, out var rune, out _) == OperationStatus.Done && Characters.IsWord(rune);

    private (AddedToken Token, int Length) LongestAt(ReadOnlySpan<char> text)
    {
        var lookup = _tokens.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var length in _lengths)
        {
            if (length <= text.Length && lookup.TryGetValue(text[..length], out var token))
            {
                return (token, length);
            }
        }

        throw new InvalidOperationException("The search found a pattern that no token has.");
    }
}

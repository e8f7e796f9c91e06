using System.Buffers;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>A token that is recognised in a text as it is written, before the text is cut into words.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Content">How it is written.</param>
/// <param name="Normalized">Looked for only in what the tokens that are not normalized leave over.</param>
/// <param name="Special">Left out of decoded text.</param>
internal sealed record AddedToken(int Id, string Content, bool Normalized, bool Special);

/// <summary>Finds added tokens in a text: the leftmost, the longest of those that start there.</summary>
internal sealed class AddedTokens
{
    private readonly AddedToken[] _longestFirst;
    private readonly SearchValues<string> _contents;

    public AddedTokens(IEnumerable<AddedToken> tokens)
    {
        _longestFirst = [.. tokens.Where(token => token.Content.Length > 0).OrderByDescending(token => token.Content.Length)];
        _contents = SearchValues.Create([.. _longestFirst.Select(token => token.Content)], StringComparison.Ordinal);
    }

    /// <summary>The first added token of the text and where it starts; null if there is none.</summary>
    public (AddedToken Token, int Start)? Find(ReadOnlySpan<char> text)
    {
        var start = _longestFirst.Length == 0 ? -1 : text.IndexOfAny(_contents);
        if (start < 0)
        {
            return null;
        }

        foreach (var token in _longestFirst)
        {
            if (text[start..].StartsWith(token.Content, StringComparison.Ordinal))
            {
                return (token, start);
            }
        }

        throw new InvalidOperationException("The search found a content that no token has.");
    }
}

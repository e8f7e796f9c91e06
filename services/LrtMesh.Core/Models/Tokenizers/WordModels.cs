namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>A word is a token, or unknown.</summary>
/// <param name="ids">The vocabulary.</param>
/// <param name="unknownId">Stands for what is not in it.</param>
internal sealed class WordLevelModel(Dictionary<string, int> ids, int unknownId) : TokenModel
{
    protected override TextToken[] SplitAnew(ReadOnlySpan<char> word) =>
        [new TextToken(ids.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(word, out var id) ? id : unknownId, 0, word.Length)];
}

/// <summary>BERT's: always the longest token that the rest of a word begins with; a word that is not used up is unknown as a whole.</summary>
/// <param name="ids">The vocabulary.</param>
/// <param name="unknownId">Stands for a word that cannot be split.</param>
/// <param name="prefix">What stands in the vocabulary in front of tokens that do not begin a word.</param>
/// <param name="longestWord">Characters; a longer word is unknown.</param>
internal sealed class WordPieceModel(Dictionary<string, int> ids, int unknownId, string prefix, int longestWord) : TokenModel
{
    private readonly int _longestToken = ids.Count == 0 ? 0 : ids.Keys.Max(token => token.Length);

    protected override TextToken[] SplitAnew(ReadOnlySpan<char> word)
    {
        TextToken[] unknown = [new TextToken(unknownId, 0, word.Length)];
        var characters = 0;
        foreach (var _ in word.EnumerateRunes())
        {
            characters++;
        }

        if (characters > longestWord)
        {
            return unknown;
        }

        List<TextToken> tokens = [];
        for (var start = 0; start < word.Length; start = tokens[^1].End)
        {
            if (Longest(word, start) is not { } token)
            {
                return unknown;
            }

            tokens.Add(token);
        }

        return [.. tokens];
    }

    private TextToken? Longest(ReadOnlySpan<char> word, int start)
    {
        var lookup = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        for (var end = Math.Min(word.Length, start + _longestToken); end > start; end--)
        {
            var part = word[start..end];
            if (!char.IsHighSurrogate(part[^1]) && lookup.TryGetValue(start == 0 ? part : $"{prefix}{part}", out var id))
            {
                return new TextToken(id, start, end);
            }
        }

        return null;
    }
}

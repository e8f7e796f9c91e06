using System.Collections.Concurrent;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>What turns a word to tokens. Safe for concurrent use; words that have been seen are remembered.</summary>
internal abstract class TokenModel
{
    // Together they bound the memory of remembered words to some tens of MB.
    private const int RememberedWords = 1 << 16;
    private const int RememberedLength = 64;

    private readonly ConcurrentDictionary<string, TextToken[]> _remembered = new(StringComparer.Ordinal);
    private int _rememberedCount;

    /// <summary>Adds the tokens of a word.</summary>
    /// <param name="word">Not empty, without unpaired surrogates.</param>
    /// <param name="offset">What is added to places in the word.</param>
    /// <param name="tokens">Where the tokens go.</param>
    public virtual void Split(ReadOnlySpan<char> word, int offset, List<TextToken> tokens)
    {
        foreach (var token in Remembered(word))
        {
            tokens.Add(new TextToken(token.Id, token.Start + offset, token.End + offset));
        }
    }

    /// <summary>The tokens of a word that is not remembered, with places in the word.</summary>
    protected abstract TextToken[] SplitAnew(ReadOnlySpan<char> word);

    private TextToken[] Remembered(ReadOnlySpan<char> word)
    {
        if (word.Length > RememberedLength)
        {
            return SplitAnew(word);
        }

        var lookup = _remembered.GetAlternateLookup<ReadOnlySpan<char>>();
        if (lookup.TryGetValue(word, out var tokens))
        {
            return tokens;
        }

        tokens = SplitAnew(word);
        if (Volatile.Read(ref _rememberedCount) < RememberedWords && lookup.TryAdd(word, tokens))
        {
            Interlocked.Increment(ref _rememberedCount);
        }

        return tokens;
    }
}

using System.Buffers;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>What a <see cref="BytePairModel"/> is made from; names as in tokenizer.json.</summary>
/// <param name="Ids">The vocabulary.</param>
/// <param name="Merges">Which tokens merge to which, in the order of their rank. Of a pair listed twice the later rank counts.</param>
internal sealed record BytePairOptions(Dictionary<string, int> Ids, (int Left, int Right, int Merged)[] Merges)
{
    /// <summary>Stands for what has no token; null: it is left out.</summary>
    public int? UnknownId { get; init; }

    /// <summary>Unknown characters next to each other are one token.</summary>
    public bool FuseUnknown { get; init; }

    /// <summary>A character that has no token becomes the tokens of its UTF-8 bytes, where there are such.</summary>
    public bool ByteFallback { get; init; }

    /// <summary>A word that is a token is not merged from its parts.</summary>
    public bool IgnoreMerges { get; init; }

    /// <summary>What stands in front of every symbol of a word but the first, in the vocabulary.</summary>
    public string ContinuingPrefix { get; init; } = "";

    /// <summary>What stands behind the last symbol of a word, in the vocabulary.</summary>
    public string WordSuffix { get; init; } = "";
}

/// <summary>
/// Merges the characters of a word to tokens: always the adjacent pair of lowest rank, the leftmost of equals. Own code, since
/// Microsoft.ML.Tokenizers 2.0.1 has no byte fallback, continues no word without a pre-tokenizer in n log n, and gives no spans
/// for what its normalizers change.
/// </summary>
internal sealed class BytePairModel : TokenModel
{
    private const int Unknown = -1;
    private const int QueueFrom = 32; // symbols; below this, looking at every pair for each merge is faster than a queue

    private readonly BytePairOptions _options;
    private readonly int[] _characterIds = new int[char.MaxValue + 1]; // of each single character up to U+FFFF, or Unknown
    private readonly int[] _byteIds; // [256] of the tokens <0x00> to <0xFF>, or Unknown; empty without byte fallback
    private readonly Dictionary<long, (int Rank, int Id)> _merges;
    private readonly HashSet<long> _neighbours = []; // (last, first) characters of every pair that merges
    private readonly bool _cutsLongWords;
    private readonly bool _mergesFallback; // some merge has a byte's token or the unknown token in it

    public BytePairModel(BytePairOptions options)
    {
        _options = options;
        Array.Fill(_characterIds, Unknown);
        foreach (var (token, id) in options.Ids)
        {
            if (token.Length == 1)
            {
                _characterIds[token[0]] = id;
            }
        }

        _byteIds = options.ByteFallback
            ? [.. Enumerable.Range(0, 256).Select(value => options.Ids.GetValueOrDefault($"<0x{value:X2}>", Unknown))]
            : [];
        _merges = new Dictionary<long, (int Rank, int Id)>(options.Merges.Length);
        var tokens = options.Ids.ToDictionary(entry => entry.Value, entry => entry.Key);
        var fallback = _byteIds.Append(options.UnknownId ?? Unknown).ToHashSet();
        for (var rank = 0; rank < options.Merges.Length; rank++)
        {
            var (left, right, merged) = options.Merges[rank];
            _merges[Pair(left, right)] = (rank, merged);
            _mergesFallback |= fallback.Contains(left) || fallback.Contains(right);
            if (tokens[left].Length > 0 && tokens[right].Length > 0)
            {
                Rune.DecodeLastFromUtf16(tokens[left], out var last, out _);
                Rune.DecodeFromUtf16(tokens[right], out var first, out _);
                _neighbours.Add(Pair(last.Value, first.Value));
            }
        }

        _cutsLongWords = options.ContinuingPrefix.Length == 0 && options.WordSuffix.Length == 0
            && (_byteIds.All(id => id >= 0) || _byteIds.All(id => id < 0));
    }

    /// <summary>
    /// As the base class has it; but a long word, which in SentencePiece's tokenizers is a whole text, is first cut where no merge
    /// can reach across: between two characters that end and begin no pair of the merges.
    /// </summary>
    public override void Split(ReadOnlySpan<char> word, int offset, List<TextToken> tokens)
    {
        if (word.Length < QueueFrom || !_cutsLongWords || IsToken(word))
        {
            base.Split(word, offset, tokens);
            return;
        }

        var start = 0;
        for (var position = AlignedText.RuneLength(word, 0); position < word.Length; position += AlignedText.RuneLength(word, position))
        {
            if (!MayJoin(word, position))
            {
                SplitPart(word[start..position], offset + start, tokens);
                start = position;
            }
        }

        SplitPart(word[start..], offset + start, tokens);
    }

    // A part is not looked up whole: that is for whole words.
    private void SplitPart(ReadOnlySpan<char> part, int offset, List<TextToken> tokens)
    {
        if (_options.IgnoreMerges)
        {
            foreach (var token in Merge(part))
            {
                tokens.Add(new TextToken(token.Id, token.Start + offset, token.End + offset));
            }

            return;
        }

        base.Split(part, offset, tokens);
    }

    /// <inheritdoc/>
    protected override TextToken[] SplitAnew(ReadOnlySpan<char> word) => IsToken(word)
        ? [new TextToken(_options.Ids.GetAlternateLookup<ReadOnlySpan<char>>()[word], 0, word.Length)]
        : Merge(word);

    private static long Pair(int left, int right) => ((long)left << 32) | (uint)right;

    private bool IsToken(ReadOnlySpan<char> word) =>
        _options.IgnoreMerges && _options.Ids.GetAlternateLookup<ReadOnlySpan<char>>().ContainsKey(word);

    private bool MayJoin(ReadOnlySpan<char> word, int position)
    {
        Rune.DecodeLastFromUtf16(word[..position], out var last, out _);
        var first = AlignedText.RuneAt(word, position);
        if (_neighbours.Contains(Pair(last.Value, first.Value)))
        {
            return true;
        }

        var (leftKnown, rightKnown) = (IdOf(last) >= 0, IdOf(first) >= 0);
        return (!leftKnown && !rightKnown) || (_mergesFallback && !(leftKnown && rightKnown));
    }

    private int IdOf(Rune rune)
    {
        if (rune.IsBmp)
        {
            return _characterIds[rune.Value];
        }

        Span<char> pair = stackalloc char[2];
        rune.EncodeToUtf16(pair);
        return _options.Ids.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(pair, out var id) ? id : Unknown;
    }

    private TextToken[] Merge(ReadOnlySpan<char> word)
    {
        // A UTF-16 unit is at most three bytes, and each may be a symbol.
        var symbols = ArrayPool<TextToken>.Shared.Rent(3 * ((word.Length * (1 + _options.ContinuingPrefix.Length)) + _options.WordSuffix.Length));
        var count = Symbols(word, symbols);
        var merged = count < QueueFrom ? MergeFew(symbols.AsSpan(0, count)) : MergeMany(symbols.AsSpan(0, count));
        ArrayPool<TextToken>.Shared.Return(symbols);
        return merged;
    }

    // The symbols that a word starts from.
    private int Symbols(ReadOnlySpan<char> word, TextToken[] symbols)
    {
        var count = 0;
        var unknown = default(TextToken?); // held, since another may fuse with it
        for (int start = 0, end; start < word.Length; start = end)
        {
            var rune = AlignedText.RuneAt(word, start);
            end = start + rune.Utf16SequenceLength;
            var (prefix, suffix) = (start == 0 ? "" : _options.ContinuingPrefix, end == word.Length ? _options.WordSuffix : "");
            var plain = prefix.Length + suffix.Length == 0;
            var id = plain ? IdOf(rune) : _options.Ids.GetValueOrDefault($"{prefix}{rune}{suffix}", Unknown);
            if (id >= 0)
            {
                Release();
                symbols[count++] = new TextToken(id, start, end);
            }
            else if (!AddBytes($"{prefix}{rune}{suffix}", start, end, symbols, ref count)
                && _options.UnknownId is { } unknownId)
            {
                if (!_options.FuseUnknown)
                {
                    Release();
                }

                unknown = new TextToken(unknownId, unknown?.Start ?? start, end);
            }
        }

        Release();
        return count;

        void Release()
        {
            if (unknown is { } token)
            {
                symbols[count++] = token;
                unknown = null;
            }
        }
    }

    private bool AddBytes(string character, int start, int end, TextToken[] symbols, ref int count)
    {
        var bytes = _byteIds.Length == 0 ? [] : Encoding.UTF8.GetBytes(character);
        if (bytes.Length == 0 || bytes.Any(value => _byteIds[value] < 0))
        {
            return false;
        }

        foreach (var value in bytes)
        {
            symbols[count++] = new TextToken(_byteIds[value], start, end);
        }

        return true;
    }

    private TextToken[] MergeFew(Span<TextToken> symbols)
    {
        Span<int> ranks = stackalloc int[QueueFrom]; // of the pair that begins with each symbol
        for (var i = 0; i < symbols.Length; i++)
        {
            ranks[i] = RankAt(symbols, i);
        }

        while (true)
        {
            var best = 0;
            for (var i = 1; i < symbols.Length; i++)
            {
                best = ranks[i] < ranks[best] ? i : best;
            }

            if (symbols.Length < 2 || ranks[best] == int.MaxValue)
            {
                return symbols.ToArray();
            }

            var id = _merges[Pair(symbols[best].Id, symbols[best + 1].Id)].Id;
            symbols[best] = new TextToken(id, symbols[best].Start, symbols[best + 1].End);
            symbols[(best + 2)..].CopyTo(symbols[(best + 1)..]);
            ranks[(best + 2)..symbols.Length].CopyTo(ranks[(best + 1)..]);
            symbols = symbols[..^1];
            ranks[best] = RankAt(symbols, best);
            if (best > 0)
            {
                ranks[best - 1] = RankAt(symbols, best - 1);
            }
        }
    }

    private int RankAt(ReadOnlySpan<TextToken> symbols, int position) =>
        position + 1 < symbols.Length && _merges.TryGetValue(Pair(symbols[position].Id, symbols[position + 1].Id), out var merge)
            ? merge.Rank
            : int.MaxValue;

    // A queue of candidate merges over a linked list of symbols: n log n for a word of n symbols, however long.
    private TextToken[] MergeMany(Span<TextToken> symbols)
    {
        var count = symbols.Length;
        var ids = new int[count];
        var next = new int[count];
        var previous = new int[count];
        var candidates = new PriorityQueue<(int Position, int Merged), long>();
        for (var position = 0; position < count; position++)
        {
            ids[position] = symbols[position].Id;
            next[position] = position + 1;
            previous[position] = position - 1;
        }

        for (var position = 0; position < count; position++)
        {
            Propose(position);
        }

        var left = count;
        while (candidates.TryDequeue(out var candidate, out _))
        {
            var (position, merged) = candidate;
            var right = next[position];
            if (right >= count || ids[position] < 0 || !_merges.TryGetValue(Pair(ids[position], ids[right]), out var merge) || merge.Id != merged)
            {
                continue; // one of the two has been merged meanwhile
            }

            ids[position] = merged;
            ids[right] = Unknown;
            next[position] = next[right];
            if (next[right] < count)
            {
                previous[next[right]] = position;
            }

            next[right] = count;
            left--;
            Propose(position);
            if (previous[position] >= 0)
            {
                Propose(previous[position]);
            }
        }

        var tokens = new TextToken[left];
        for (int position = 0, token = 0; position < count; position = next[position], token++)
        {
            tokens[token] = new TextToken(ids[position], symbols[position].Start, symbols[next[position] - 1].End);
        }

        return tokens;

        void Propose(int position)
        {
            if (next[position] < count && _merges.TryGetValue(Pair(ids[position], ids[next[position]]), out var merge))
            {
                candidates.Enqueue((position, merge.Id), ((long)merge.Rank << 32) | (uint)position);
            }
        }
    }
}

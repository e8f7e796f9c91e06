using System.Collections.Concurrent;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// Merges the bytes of a word to tokens: always the adjacent pair of lowest rank, the leftmost of equals. Safe for
/// concurrent use; words that have been seen are remembered.
/// </summary>
internal sealed class BytePairModel
{
    // Together they bound the memory of remembered words to some tens of MB.
    private const int RememberedWords = 1 << 16;
    private const int RememberedLength = 64;

    private readonly int[] _byteIds;
    private readonly Dictionary<long, (int Rank, int Id)> _merges;
    private readonly ConcurrentDictionary<string, TextToken[]> _remembered = new(StringComparer.Ordinal);
    private int _rememberedCount;

    /// <param name="byteIds">[256], the id of each single byte.</param>
    /// <param name="merges">Which ids merge to which, in the order of their rank. Of a pair listed twice the later rank counts.</param>
    public BytePairModel(int[] byteIds, IReadOnlyList<(int Left, int Right, int Merged)> merges)
    {
        _byteIds = byteIds;
        _merges = new Dictionary<long, (int Rank, int Id)>(merges.Count);
        for (var rank = 0; rank < merges.Count; rank++)
        {
            _merges[Pair(merges[rank].Left, merges[rank].Right)] = (rank, merges[rank].Merged);
        }
    }

    /// <summary>The tokens of a word, with offsets from its start.</summary>
    public TextToken[] Split(ReadOnlySpan<char> word)
    {
        if (word.Length > RememberedLength)
        {
            return Merge(word);
        }

        var lookup = _remembered.GetAlternateLookup<ReadOnlySpan<char>>();
        if (lookup.TryGetValue(word, out var tokens))
        {
            return tokens;
        }

        tokens = Merge(word);
        if (Volatile.Read(ref _rememberedCount) < RememberedWords && lookup.TryAdd(word, tokens))
        {
            Interlocked.Increment(ref _rememberedCount);
        }

        return tokens;
    }

    private static long Pair(int left, int right) => ((long)left << 32) | (uint)right;

    // A queue of candidate merges over a linked list of symbols: n log n for a word of n bytes, however long.
    private TextToken[] Merge(ReadOnlySpan<char> word)
    {
        var (ids, starts, ends) = Bytes(word);
        var count = ids.Count;

        // A symbol lies at the position of its first byte; next and previous link the positions still in use.
        var next = new int[count];
        var previous = new int[count];
        var candidates = new PriorityQueue<(int Position, int Merged), long>();
        for (var position = 0; position < count; position++)
        {
            next[position] = position + 1;
            previous[position] = position - 1;
            Propose(position);
        }

        var symbols = count;
        while (candidates.TryDequeue(out var candidate, out _))
        {
            var (position, merged) = candidate;
            var right = next[position];
            if (right >= count || ids[position] < 0 || !_merges.TryGetValue(Pair(ids[position], ids[right]), out var merge) || merge.Id != merged)
            {
                continue; // one of the two has been merged meanwhile
            }

            ids[position] = merged;
            ids[right] = -1;
            next[position] = next[right];
            if (next[right] < count)
            {
                previous[next[right]] = position;
            }

            next[right] = count;
            symbols--;
            Propose(position);
            if (previous[position] >= 0)
            {
                Propose(previous[position]);
            }
        }

        var tokens = new TextToken[symbols];
        for (int position = 0, token = 0; position < count; position = next[position], token++)
        {
            tokens[token] = new TextToken(ids[position], starts[position], ends[next[position] - 1]);
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

    // For each UTF-8 byte of the word: its id, and the start and end of its character in UTF-16 code units.
    private (List<int> Ids, List<int> Starts, List<int> Ends) Bytes(ReadOnlySpan<char> word)
    {
        List<int> ids = new(word.Length), starts = new(word.Length), ends = new(word.Length);
        Span<byte> utf8 = stackalloc byte[4];
        for (var start = 0; start < word.Length;)
        {
            Rune.DecodeFromUtf16(word[start..], out var rune, out var consumed);
            foreach (var value in utf8[..rune.EncodeToUtf8(utf8)])
            {
                ids.Add(_byteIds[value]);
                starts.Add(start);
                ends.Add(start + consumed);
            }

            start += consumed;
        }

        return (ids, starts, ends);
    }
}

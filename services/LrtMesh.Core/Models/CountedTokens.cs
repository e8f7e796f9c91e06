using LrtMesh.Core.Models.Tokenizers;

namespace LrtMesh.Core.Models;

/// <summary>The tokens of a text that count, found by position or by the characters that they cover, in logarithmic time.</summary>
public sealed class CountedTokens
{
    private readonly TextToken[] _tokens;
    private readonly int[] _positions;

    // A normalizer may move characters, so that neither starts nor ends of tokens need rise. These do, one entry a counted token:
    private readonly int[] _reach; // how far this token and those before it reach
    private readonly int[] _onset; // where this token and those after it begin

    /// <summary>Takes the tokens of a text.</summary>
    /// <param name="tokens">All of them.</param>
    /// <param name="positions">Those that count, rising.</param>
    public CountedTokens(TextToken[] tokens, int[] positions)
    {
        (_tokens, _positions, _reach, _onset) = (tokens, positions, new int[positions.Length], new int[positions.Length]);
        for (var i = 0; i < positions.Length; i++)
        {
            _reach[i] = Math.Max(tokens[positions[i]].End, i > 0 ? _reach[i - 1] : 0);
            var last = positions.Length - 1 - i;
            // An added token covers nothing, wherever it says that it is.
            var token = tokens[positions[last]];
            _onset[last] = Math.Min(token.End > token.Start ? token.Start : int.MaxValue, i > 0 ? _onset[last + 1] : int.MaxValue);
        }
    }

    /// <summary>The positions within [start, end), rising.</summary>
    public ReadOnlySpan<int> Within(uint start, uint end)
    {
        var from = FirstNotBelow(_positions, start);
        return _positions.AsSpan(from, Math.Max(0, FirstNotBelow(_positions, end) - from));
    }

    /// <summary>The positions of the tokens that cover some of the characters [start, end), rising.</summary>
    public IEnumerable<int> Covering(uint start, uint end)
    {
        var to = FirstNotBelow(_onset, end);
        for (var i = FirstNotBelow(_reach, start + 1L); i < to; i++)
        {
            var token = _tokens[_positions[i]];
            if (token.Start < end && token.End > start && token.End > token.Start)
            {
                yield return _positions[i];
            }
        }
    }

    private static int FirstNotBelow(int[] rising, long value)
    {
        var (from, to) = (0, rising.Length);
        while (from < to)
        {
            var middle = (from + to) / 2;
            (from, to) = rising[middle] < value ? (middle + 1, to) : (from, middle);
        }

        return from;
    }
}

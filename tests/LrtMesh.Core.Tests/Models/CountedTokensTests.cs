using System.Diagnostics;
using CsCheck;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

public sealed class CountedTokensTests
{
    [Fact]
    public void A_search_finds_what_looking_at_every_token_does()
    {
        // Tokens in any order, some of which cover nothing, as added ones do.
        var tokens = Gen.Select(Gen.Int[0, 40], Gen.Int[0, 4]).Select(token => new TextToken(0, token.Item1, token.Item1 + token.Item2)).Array[0, 30];
        Gen.Select(tokens, Gen.Bool.Array[30], Gen.UInt[0, 45], Gen.UInt[1, 50]).Sample((tokens, counts, start, length) =>
        {
            int[] counted = [.. Enumerable.Range(0, tokens.Length).Where(position => counts[position])];
            var search = new CountedTokens(tokens, counted);
            var end = start + length;

            Assert.Equal(counted.Where(position => position >= start && position < end), search.Within(start, end).ToArray());
            Assert.Equal(
                counted.Where(position => tokens[position].Start < end && tokens[position].End > start && tokens[position].End > tokens[position].Start),
                search.Covering(start, end));
        });
    }

    [Fact]
    public void Spans_that_end_beyond_every_number_of_a_text_are_searched()
    {
        var search = new CountedTokens([new(0, 0, 3), new(0, 3, 5)], [0, 1]);

        Assert.Equal([1], search.Covering(4, uint.MaxValue));
        Assert.Empty(search.Covering(uint.MaxValue - 1, uint.MaxValue));
        Assert.Equal([1], search.Within(1, uint.MaxValue).ToArray());
        Assert.Empty(search.Within(uint.MaxValue - 1, uint.MaxValue).ToArray());
    }

    [Fact]
    public void Thousands_of_spans_of_a_long_text_are_found_at_once()
    {
        // 4,096 spans of 20 tokens among 400,000; token i covers characters 3i to 3i + 3. To look at every token for each takes seconds.
        const int Tokens = 400_000;
        var search = new CountedTokens([.. Enumerable.Range(0, Tokens).Select(i => new TextToken(i, 3 * i, (3 * i) + 3))], [.. Enumerable.Range(0, Tokens)]);
        var clock = Stopwatch.StartNew();
        var (covered, within) = (0L, 0L);
        for (uint span = 0; span < 4096; span++)
        {
            var first = span * 97;
            covered += search.Covering((first * 3) + 1, ((first + 20) * 3) - 1).Sum(position => position - first + 1L);
            within += search.Within(first, first + 20).ToArray().Sum(position => position - first + 1L);
        }

        Assert.Equal(4096 * 210, covered);
        Assert.Equal(4096 * 210, within);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(1), $"took {clock.Elapsed}");
    }
}

using System.Numerics.Tensors;
using CsCheck;
using LrtMesh.Core.Models;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Tokens come as often as their probabilities say, among those that top-k and top-p leave.</summary>
public sealed class SamplerTests
{
    private static readonly double[] Probabilities = [0.5, 0.25, 0.15, 0.1];

    [Fact]
    public void Temperature_zero_takes_the_likeliest() => Assert.Equal(0, Draw(new SamplingOptions(0, 0, 1, 1), 1).Single().Key);

    [Fact]
    public void Frequencies_are_the_probabilities()
    {
        const int Draws = 40_000;
        var counts = Draw(new SamplingOptions(1, 0, 1, 7), Draws);
        for (var token = 0; token < Probabilities.Length; token++)
        {
            var deviation = Math.Sqrt(Probabilities[token] * (1 - Probabilities[token]) / Draws);
            Assert.InRange((double)counts[token] / Draws, Probabilities[token] - (5 * deviation), Probabilities[token] + (5 * deviation));
        }
    }

    [Theory]
    [InlineData(2, 1.0, new[] { 0, 1 })]
    [InlineData(0, 0.5, new[] { 0 })]
    [InlineData(0, 0.51, new[] { 0, 1 })]
    [InlineData(3, 0.99, new[] { 0, 1, 2 })]
    public void Top_k_and_top_p_leave_the_likeliest(int topK, double topP, int[] left) =>
        Assert.Equal(left, Draw(new SamplingOptions(1, topK, topP, 3), 2000).Keys.Order());

    [Fact]
    public void Over_a_large_vocabulary_tokens_are_those_that_sorting_all_of_it_leaves()
    {
        var options = Gen.Select(Gen.Int[0, 3000], Gen.Double[0.01, 1], Gen.Double[0, 0.2], Gen.Double[0.1, 4], Gen.Int[0, 3]);
        options.Sample(
            wanted =>
            {
                var (topK, topP, minP, spread, ties) = wanted;
                var random = new Random(topK);
                var scores = Enumerable.Range(0, 2000).Select(_ => (float)Math.Round(random.NextDouble() * 8 * spread, ties)).ToArray();
                var sampler = new Sampler(new SamplingOptions(1, topK, topP, Seed: 5) { MinP = minP }, []);
                var state = 5UL;
                for (var draw = 0; draw < 20; draw++)
                {
                    Assert.Equal(BySortingAll(scores, topK, topP, minP, ref state), sampler.Choose((float[])scores.Clone()));
                }
            },
            iter: 60, seed: "0000000000000", threads: 1);
    }

    [Fact]
    public void The_same_seed_draws_the_same_tokens()
    {
        var options = new SamplingOptions(1, 0, 1, 99);
        Assert.Equal(Draw(options, 500), Draw(options, 500));
        Assert.NotEqual(Draw(options, 500), Draw(options with { Seed = 100 }, 500));
    }

    [Theory]
    [InlineData(0.19, new[] { 0, 1, 2, 3 })]
    [InlineData(0.21, new[] { 0, 1, 2 })]
    [InlineData(0.5, new[] { 0, 1 })]
    [InlineData(1, new[] { 0 })]
    public void Min_p_is_a_share_of_the_likeliest(double minP, int[] left) =>
        Assert.Equal(left, Draw(new SamplingOptions(1, 0, 1, 3) { MinP = minP }, 2000).Keys.Order());

    [Fact]
    public void Penalties_and_bias_change_the_scores_as_defined()
    {
        int Likeliest(SamplingOptions options, int[] prompt, params float[] scores) => new Sampler(options, prompt).Choose((float[])scores.Clone());
        int[] Answer(SamplingOptions options, int tokens, params float[] scores)
        {
            var sampler = new Sampler(options, []);
            return [.. Enumerable.Range(0, tokens).Select(_ => sampler.Choose((float[])scores.Clone()))];
        }

        var greedy = SamplingOptions.Greedy;
        Assert.Equal(1, Likeliest(greedy with { LogitBias = new Dictionary<int, float> { [1] = 2 } }, [], 1, 0, -1));
        // Divided where positive, multiplied where negative.
        Assert.Equal(1, Likeliest(greedy with { RepetitionPenalty = 2 }, [0], 1, 0.6f));
        Assert.Equal(1, Likeliest(greedy with { RepetitionPenalty = 2 }, [0], -1, -1.5f));
        Assert.Equal(0, Likeliest(greedy with { PresencePenalty = 2, FrequencyPenalty = 2 }, [0], 1, 0.6f)); // the prompt does not count
        Assert.Equal([0, 1, 0, 0], Answer(greedy with { PresencePenalty = 1 }, 4, 1.5f, 1));
        Assert.Equal([0, 0, 1, 0], Answer(greedy with { FrequencyPenalty = 0.3 }, 4, 1.5f, 1));
    }

    [Fact]
    public void Logprobs_are_the_softmax_of_the_scores()
    {
        var scores = Probabilities.Select(p => (float)Math.Log(p) + 3).ToArray();
        var logprobs = TokenLogprobs.Of(scores, chosen: 2, top: 3);
        Assert.Equal(Math.Log(0.15), logprobs.Chosen, 1e-6);
        Assert.Equal([0, 1, 2], logprobs.Top.Select(top => top.Token));
        Assert.All(logprobs.Top, top => Assert.Equal(Math.Log(Probabilities[top.Token]), top.Logprob, 1e-6));
        Assert.Empty(TokenLogprobs.Of(scores, 0, top: 0).Top);
    }

    /// <summary>Top-k, top-p and min-p as they are defined, on the whole vocabulary in order.</summary>
    private static int BySortingAll(float[] scores, int topK, double topP, double minP, ref ulong state)
    {
        var p = new float[scores.Length];
        TensorPrimitives.SoftMax<float>(scores, p);
        var order = Enumerable.Range(0, p.Length).OrderByDescending(token => p[token]).ThenBy(token => token).Take(topK == 0 ? p.Length : topK).ToArray();
        var (kept, mass) = (0, 0.0);
        while (kept < order.Length && (kept == 0 || (mass < topP && p[order[kept]] >= minP * p[order[0]])))
        {
            mass += p[order[kept++]];
        }

        // SplitMix64.
        var z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        var threshold = ((z ^ (z >> 31)) >> 11) * (1.0 / (1UL << 53)) * mass;
        var sum = 0.0;
        return order.Take(kept).SkipWhile(token => (sum += p[token]) <= threshold).Append(order[kept - 1]).First();
    }

    private static Dictionary<int, int> Draw(SamplingOptions options, int draws)
    {
        var sampler = new Sampler(options, []);
        var counts = new Dictionary<int, int>();
        for (var i = 0; i < draws; i++)
        {
            var token = sampler.Choose([.. Probabilities.Select(p => (float)Math.Log(p))]);
            counts[token] = counts.GetValueOrDefault(token) + 1;
        }

        return counts;
    }
}

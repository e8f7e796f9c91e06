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
    public void The_same_seed_draws_the_same_tokens()
    {
        var options = new SamplingOptions(1, 0, 1, 99);
        Assert.Equal(Draw(options, 500), Draw(options, 500));
        Assert.NotEqual(Draw(options, 500), Draw(options with { Seed = 100 }, 500));
    }

    private static Dictionary<int, int> Draw(SamplingOptions options, int draws)
    {
        var sampler = new Sampler(options);
        var counts = new Dictionary<int, int>();
        for (var i = 0; i < draws; i++)
        {
            var token = sampler.Choose([.. Probabilities.Select(p => (float)Math.Log(p))]);
            counts[token] = counts.GetValueOrDefault(token) + 1;
        }

        return counts;
    }
}

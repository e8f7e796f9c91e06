using CsCheck;
using LrtMesh.Cli.Evaluation;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class ShareKeptTests
{
    // Rates of 10 prompts: the first k show the behaviour.
    private static double[] Rate(int k) => [.. Enumerable.Range(0, 10).Select(i => i < k ? 1.0 : 0.0)];

    [Fact]
    public void One_behaviour_is_the_mapped_effect_over_the_native_one()
    {
        Assert.Equal(0.75, ShareKept.Of(new(Rate(1), Rate(5), Rate(4)))!.Value, 12);
        Assert.Null(ShareKept.Of(new(Rate(3), Rate(3), Rate(9))));
    }

    [Fact]
    public void Pooled_weighs_by_effect_and_counts_a_lowered_rate_by_its_sign()
    {
        // (+0.4 kept 0.3) and (−0.6 kept −0.3, so +0.3 of 0.6): 0.6 / 1.0.
        var estimate = ShareKept.Pooled([new(Rate(1), Rate(5), Rate(4)), new(Rate(8), Rate(2), Rate(5))], seed: 1)!;
        Assert.Equal(0.6, estimate.Value, 12);
        Assert.InRange(estimate.Value, estimate.Low, estimate.High);
    }

    [Fact]
    public void Pooled_is_not_clipped()
    {
        Assert.Equal(2, ShareKept.Pooled([new(Rate(0), Rate(4), Rate(8))], seed: 1)!.Value, 12);
        Assert.True(ShareKept.Pooled([new(Rate(2), Rate(6), Rate(0))], seed: 1)!.Value < 0);
    }

    [Fact]
    public void No_native_effect_at_all_gives_no_estimate() => Assert.Null(ShareKept.Pooled([new(Rate(3), Rate(3), Rate(5))], seed: 1));

    [Fact]
    public void An_arm_equal_to_native_keeps_exactly_all_in_every_resample() =>
        Gen.Int[1, 9].Array[1, 6].Sample(rates =>
        {
            var estimate = ShareKept.Pooled([.. rates.Select(k => new PairedOutcomes(Rate(0), Rate(k), Rate(k)))], seed: 3)!;
            return estimate is { Value: 1, Low: 1, High: 1 };
        }, iter: 20);

    [Fact]
    public void The_interval_is_repeatable_and_follows_the_seed()
    {
        // Outcomes that are all different, so that two intervals are equal only if their draws are.
        double[] graded = [.. Enumerable.Range(1, 10).Select(i => 1.0 / (i + 2))];
        PairedOutcomes[] behaviours = [new(Rate(1), Rate(6), graded), new(Rate(0), Rate(7), Rate(7)), new(Rate(0), Rate(3), graded)];
        Assert.Equal(ShareKept.Pooled(behaviours, 5), ShareKept.Pooled(behaviours, 5));
        Assert.NotEqual(ShareKept.Pooled(behaviours, 5), ShareKept.Pooled(behaviours, 6));
    }

    [Fact]
    public void The_interval_covers_the_truth_about_as_often_as_it_says()
    {
        // Behaviours with rates none 0.1, native 0.6, arm 0.5: a true R of 0.8.
        var random = new Random(7);
        int covered = 0;
        const int runs = 100;
        for (int run = 0; run < runs; run++)
        {
            var behaviours = Enumerable.Range(0, 12).Select(_ => new PairedOutcomes(Draw(0.1), Draw(0.6), Draw(0.5))).ToArray();
            var estimate = ShareKept.Pooled(behaviours, run)!;
            covered += estimate.Low <= 0.8 && 0.8 <= estimate.High ? 1 : 0;
        }

        Assert.InRange(covered, 88, 100);

        double[] Draw(double rate) => [.. Enumerable.Range(0, 30).Select(_ => random.NextDouble() < rate ? 1.0 : 0.0)];
    }
}

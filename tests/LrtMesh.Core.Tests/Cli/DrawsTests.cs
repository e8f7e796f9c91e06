using LrtMesh.Cli.Evaluation;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class DrawsTests
{
    [Fact]
    public void Directions_are_of_length_one_repeatable_and_far_from_each_other()
    {
        float[] a = Draws.Direction(512, 1);
        float[] b = Draws.Direction(512, 2);
        Assert.Equal(1, a.Sum(x => (double)x * x), 5);
        Assert.Equal(a, Draws.Direction(512, 1));
        Assert.InRange(Math.Abs(a.Zip(b, (x, y) => (double)x * y).Sum()), 0, 0.2);
        Assert.InRange(a.Average(), -0.01, 0.01);
    }

    [Fact]
    public void A_direction_like_states_varies_as_they_do()
    {
        // Ten times the spread along the first of four dimensions, about a mean far from 0, which counts for nothing.
        var random = new Random(5);
        float[] rows = [.. Enumerable.Range(0, 400 * 4).Select(i => (float)((i % 4 == 0 ? 10 : 1) * (random.NextDouble() - 0.5)) + 100)];
        double[] squares = [.. Enumerable.Range(0, 200).Select(seed => Math.Pow(Draws.DirectionLike(rows, 4, (ulong)seed)[0], 2))];
        Assert.InRange(squares.Average(), 0.85, 1);
        double[] firsts = [.. Enumerable.Range(0, 200).Select(seed => (double)Draws.DirectionLike(rows, 4, (ulong)seed)[0])];
        Assert.InRange(firsts.Average(), -0.2, 0.2);
        Assert.Equal(1, Draws.DirectionLike(rows, 4, 7).Sum(x => (double)x * x), 5);
    }

    [Fact]
    public void Seeds_differ_by_purpose_and_by_order()
    {
        ulong[] seeds = [Draws.Seed(0, 1, 2), Draws.Seed(0, 2, 1), Draws.Seed(1, 1, 2), Draws.Seed(0, 1), Draws.Seed(0, 1, 3)];
        Assert.Equal(seeds.Length, seeds.Distinct().Count());
        Assert.Equal(Draws.Seed(9, 4, 2), Draws.Seed(9, 4, 2));
    }
}

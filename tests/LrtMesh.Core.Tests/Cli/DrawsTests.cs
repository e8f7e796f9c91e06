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
    public void Seeds_differ_by_purpose_and_by_order()
    {
        ulong[] seeds = [Draws.Seed(0, 1, 2), Draws.Seed(0, 2, 1), Draws.Seed(1, 1, 2), Draws.Seed(0, 1), Draws.Seed(0, 1, 3)];
        Assert.Equal(seeds.Length, seeds.Distinct().Count());
        Assert.Equal(Draws.Seed(9, 4, 2), Draws.Seed(9, 4, 2));
    }
}

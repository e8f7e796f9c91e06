using CsCheck;
using LrtMesh.Core.Steering;
using Xunit;

namespace LrtMesh.Core.Tests.Steering;

public sealed class DifferenceOfMeansTests
{
    [Fact]
    public void The_direction_is_the_difference_of_the_means()
    {
        var learnt = DifferenceOfMeans.Learn([[1, 2], [3, 4], [5, 9]], [[0, 1], [0, 1], [3, 1]]);

        Assert.Equal([2f, 4f], learnt.Direction);
    }

    [Fact]
    public void Sums_are_in_float64()
    {
        // In float32, 1e8 + 1 is 1e8: the difference of 1 would be lost on the way.
        float[][] positive = [[1e8f, 0], [1, 0], [1, 0]];
        float[][] negative = [[1e8f, 0], [0, 0], [0, 0]];

        Assert.Equal(2f / 3, DifferenceOfMeans.Learn(positive, negative).Direction[0]);
    }

    [Theory]
    [InlineData(new double[] { 3, 4 }, new double[] { 1, 2 }, 1)]
    [InlineData(new double[] { 1, 2 }, new double[] { 3, 4 }, 0)]
    [InlineData(new double[] { 1, 1 }, new double[] { 1, 1 }, 0.5)]
    [InlineData(new double[] { 2 }, new double[] { 1, 2, 3 }, 0.5)]
    [InlineData(new double[] { 2, 2, 5 }, new double[] { 2, 1 }, (0.5 + 1 + 0.5 + 1 + 1 + 1) / 6)]
    public void Auc_counts_pairs_and_half_of_ties(double[] positive, double[] negative, double expected) =>
        Assert.Equal(expected, DifferenceOfMeans.Auc(positive, negative), 12);

    [Fact]
    public void Auc_is_the_share_of_pairs_in_order()
    {
        var scores = Gen.Int[-5, 5].Select(i => (double)i).Array[1, 20];
        Gen.Select(scores, scores).Sample((positive, negative) =>
        {
            var pairs = positive.SelectMany(p => negative.Select(n => p > n ? 1 : p == n ? 0.5 : 0)).Average();
            Assert.Equal(pairs, DifferenceOfMeans.Auc(positive, negative), 9);
        });
    }

    [Fact]
    public void Auc_is_measured_on_pairs_that_the_direction_was_not_learnt_on()
    {
        // Pairs 0 and 5 are held out, and there the behaviour points the other way.
        float[][] positive = [[-1], [1], [1], [1], [1], [-1]];
        float[][] negative = [[0], [0], [0], [0], [0], [0]];

        Assert.Equal(0, DifferenceOfMeans.Learn(positive, negative).Auc);
    }

    [Fact]
    public void Equal_means_are_refused()
    {
        var error = Assert.Throws<LrtMeshException>(() => DifferenceOfMeans.Learn([[1], [2]], [[2], [1]]));

        Assert.Equal("pairs", Assert.Single(error.Violations).Field);
    }
}

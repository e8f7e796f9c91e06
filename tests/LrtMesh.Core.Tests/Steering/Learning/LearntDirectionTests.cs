using CsCheck;
using LrtMesh.Core.Steering.Learning;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Steering.Learning;

/// <summary>Each method on classes whose direction is known.</summary>
public sealed class LearntDirectionTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public void Difference_of_means_is_the_difference_of_the_means() =>
        Assert.Equal([2f, 4f], Learn(VectorMethod.DifferenceOfMeans, [[1, 2], [3, 4], [5, 9]], [[0, 1], [0, 1], [3, 1]]).Elements);

    [Fact]
    public void Sums_are_in_float64()
    {
        // In float32, 1e8 + 1 is 1e8: the difference of 1 would be lost on the way.
        float[][] positive = [[1e8f, 0], [1, 0], [1, 0]];
        float[][] negative = [[1e8f, 0], [0, 0], [0, 0]];

        Assert.Equal(2f / 3, Learn(VectorMethod.DifferenceOfMeans, positive, negative).Elements[0], 1e-7);
    }

    [Fact]
    public void Pca_of_differences_is_the_axis_of_their_largest_mean_square()
    {
        // Differences (3, 1), (1, 1), (2, -1): second moments [[14, 2], [2, 3]], whose larger eigenvalue is (17 + √137) / 2.
        float[][] positive = [[4, 3], [1, 1], [2, 6]];
        float[][] negative = [[1, 2], [0, 0], [0, 7]];
        var value = (17 + Math.Sqrt(137)) / 2;
        var (x, y) = (2.0, value - 14);
        var length = Math.Sqrt((x * x) + (y * y));
        var gap = ((6 * x) + (1 * y)) / 3 / length; // the mean difference is (6, 1) / 3

        var learnt = Learn(VectorMethod.PcaOfDifferences, positive, negative);

        Assert.Equal(gap * x / length, learnt.Elements[0], 1e-6);
        Assert.Equal(gap * y / length, learnt.Elements[1], 1e-6);
    }

    [Fact]
    public void Pca_of_differences_agrees_with_the_eigenvectors_of_their_moments()
    {
        // Against plain power iteration on the matrix, at widths above and below the number of pairs.
        Gen.Select(Gen.Int[2, 12], Gen.Int[2, 12], Gen.Int[0, 1 << 20]).Sample(
            (pairs, width, seed) =>
            {
                var random = new Random(seed);
                var (positive, negative) = (Rows(random, pairs, width, 0.5), Rows(random, pairs, width, 0));
                var differences = positive.Zip(negative, (p, n) => p.Zip(n, (a, b) => (double)a - b).ToArray()).ToArray();
                var moments = new double[width, width];
                foreach (var difference in differences)
                {
                    for (var i = 0; i < width; i++)
                    {
                        for (var j = 0; j < width; j++)
                        {
                            moments[i, j] += difference[i] * difference[j];
                        }
                    }
                }

                var axis = Learn(VectorMethod.PcaOfDifferences, positive, negative).Elements.Select(element => (double)element).ToArray();
                var image = Enumerable.Range(0, width).Select(i => Enumerable.Range(0, width).Sum(j => moments[i, j] * axis[j])).ToArray();
                var value = Dot(axis, image) / Dot(axis, axis);
                // An eigenvector, and no direction has more: neither the others tried at random nor the differences themselves.
                Assert.All(image.Zip(axis), pair => Assert.Equal(value * pair.Second, pair.First, 1e-4 * value * Math.Sqrt(Dot(axis, axis))));
                foreach (var other in differences.Concat(Rows(random, 20, width, 0).Select(row => row.Select(element => (double)element).ToArray())))
                {
                    Assert.True(differences.Sum(difference => Math.Pow(Dot(difference, other), 2)) / Dot(other, other) <= value * (1 + 1e-6));
                }
            },
            iter: 200);
    }

    [Theory]
    [InlineData(1e-6)]
    [InlineData(0.01)]
    [InlineData(1)]
    public void A_probe_is_where_the_penalized_loss_is_least(double lambda)
    {
        var random = new Random(3);
        var (positive, negative) = (Rows(random, 40, 5, 0.4), Rows(random, 40, 5, 0));
        double[][] states = [.. positive.Concat(negative).Select(row => row.Select(element => (double)element).ToArray())];
        var centre = Enumerable.Range(0, 5).Select(i => states.Average(state => state[i])).ToArray();
        var scale = Math.Sqrt(states.Average(state => state.Select((element, i) => Math.Pow(element - centre[i], 2)).Sum()));

        var axis = LogisticProbe.Axis(PairedStates.From(Interleave(positive, negative), 5), lambda, Ct);

        // At the minimum the gradient is zero: λ·w = mean y·σ(−m)·x, and the intercept makes mean y·σ(−m) zero.
        var weights = axis.Select(element => element * scale).ToArray();
        var x = states.Select(state => state.Select((element, i) => (element - centre[i]) / scale).ToArray()).ToArray();
        double[] Pull(double intercept) => [.. x.Select((row, i) => (i < 40 ? 1 : -1) / (1 + Math.Exp((i < 40 ? 1 : -1) * (Dot(row, weights) + intercept))))];
        var (low, high) = (-50.0, 50.0);
        for (var i = 0; i < 200; i++)
        {
            var middle = (low + high) / 2;
            (low, high) = Pull(middle).Average() > 0 ? (middle, high) : (low, middle);
        }

        var pull = Pull(low);
        Assert.All(Enumerable.Range(0, 5), i => Assert.Equal(x.Select((row, of) => pull[of] * row[i]).Average(), lambda * weights[i], 1e-9));
        Assert.True(Dot(weights, weights) > 1e-6);
    }

    [Fact]
    public void A_probe_of_two_gaussian_classes_of_one_covariance_is_that_of_linear_discriminant_analysis()
    {
        // Σ = diag(1, 9), means apart by (1, 1): Σ⁻¹·(1, 1) ~ (9, 1), while the difference of means goes along (1, 1).
        var random = new Random(5);
        float[][] Class(double shift) => [.. Enumerable.Range(0, 4000).Select(_ => new[] { (float)(Normal(random) + shift), (float)((3 * Normal(random)) + shift) })];
        var (positive, negative) = (Class(0.5), Class(-0.5));

        var probe = Learn(VectorMethod.LogisticProbe, positive, negative, lambda: 1e-6).Elements;
        var means = Learn(VectorMethod.DifferenceOfMeans, positive, negative).Elements;

        Assert.Equal(1.0 / 9, probe[1] / probe[0], 0.03);
        Assert.Equal(1, means[1] / means[0], 0.1);
    }

    [Fact]
    public void A_probe_of_a_large_penalty_is_the_difference_of_means()
    {
        var random = new Random(7);
        var (positive, negative) = (Rows(random, 30, 6, 0.3), Rows(random, 30, 6, 0));
        var means = Learn(VectorMethod.DifferenceOfMeans, positive, negative).Elements;
        var probe = Learn(VectorMethod.LogisticProbe, positive, negative, lambda: 1e3).Elements;

        Assert.All(means.Zip(probe), pair => Assert.Equal(pair.First, pair.Second, 1e-3));
    }

    [Fact]
    public void A_probe_of_a_small_penalty_has_the_widest_margin()
    {
        // Of all w with w·(0, 1) and w·(8, 2) at least 1, (0, 1) is the shortest: the nearest points alone decide. The means differ along (8, 3).
        float[][] positive = [[0, 1], [8, 2]];
        float[][] negative = [[0, -1], [-8, -2]];
        var probe = Learn(VectorMethod.LogisticProbe, positive, negative, lambda: 1e-6).Elements;
        var means = Learn(VectorMethod.DifferenceOfMeans, positive, negative).Elements;

        Assert.Equal(0, probe[0] / probe[1], 0.02);
        Assert.Equal(8.0 / 3, means[0] / means[1], 1e-6);
    }

    [Theory]
    [InlineData(VectorMethod.DifferenceOfMeans)]
    [InlineData(VectorMethod.PcaOfDifferences)]
    [InlineData(VectorMethod.LogisticProbe)]
    public void A_direction_is_as_long_as_the_gap_along_it_and_points_to_the_positive_class(VectorMethod method)
    {
        Gen.Select(Gen.Int[2, 30], Gen.Int[1, 20], Gen.Int[0, 1 << 20]).Sample(
            (pairs, width, seed) =>
            {
                var random = new Random(seed);
                var (positive, negative) = (Rows(random, pairs, width, random.NextDouble()), Rows(random, pairs, width, 0));
                var learnt = Learn(method, positive, negative).Elements.Select(element => (double)element).ToArray();
                var opposite = Learn(method, negative, positive).Elements;
                var gap = Enumerable.Range(0, width).Sum(i => learnt[i] * (positive.Average(row => (double)row[i]) - negative.Average(row => (double)row[i])));

                Assert.Equal(1, gap / Dot(learnt, learnt), 1e-3);
                Assert.All(learnt.Zip(opposite), pair => Assert.Equal(pair.First, -pair.Second, 1e-4 * Math.Sqrt(Dot(learnt, learnt))));
            },
            iter: 100);
    }

    [Theory]
    [InlineData(VectorMethod.DifferenceOfMeans)]
    [InlineData(VectorMethod.PcaOfDifferences)]
    [InlineData(VectorMethod.LogisticProbe)]
    public void Equal_means_are_refused(VectorMethod method)
    {
        // Along the second axis, on which the pairs differ most, the means are equal too.
        var error = Assert.Throws<LrtMeshException>(() => Learn(method, [[1, 5], [2, -5]], [[2, -5], [1, 5]]));

        Assert.Equal((ErrorReason.InvalidArgument, "pairs"), (error.Reason, Assert.Single(error.Violations).Field));
    }

    [Fact]
    public void Pca_of_pairs_that_differ_most_both_ways_alike_is_refused()
    {
        // The means differ along the first axis, by 1; the pairs along the second, by 6 up and 6 down.
        float[][] positive = [[1, 3], [1, -3]];
        float[][] negative = [[0, -3], [0, 3]];

        Assert.Equal([1f, 0f], Learn(VectorMethod.DifferenceOfMeans, positive, negative).Elements);
        var error = Assert.Throws<LrtMeshException>(() => Learn(VectorMethod.PcaOfDifferences, positive, negative));
        Assert.Contains("differ most", Assert.Single(error.Violations).Description, StringComparison.Ordinal);
    }

    [Fact]
    public void States_that_are_not_finite_are_refused()
    {
        var error = Assert.Throws<LrtMeshException>(() => PairedStates.From([1, 2, 3, float.NaN], 1));

        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
        Assert.Contains("pairs[1]", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void States_that_would_take_too_much_memory_are_refused()
    {
        PairedStates.RequireRoom(4096, 16, 2048);
        var error = Assert.Throws<LrtMeshException>(() => PairedStates.RequireRoom(4096, 17, 2048));

        Assert.Contains("at most 3855 with 17 layers", error.Message, StringComparison.Ordinal);
    }

    private static LearntDirection Learn(VectorMethod method, float[][] positive, float[][] negative, double lambda = 0.01) => LearntDirection.Learn(
        PairedStates.From(Interleave(positive, negative), positive[0].Length), [.. Enumerable.Range(0, positive.Length).Select(pair => pair % 5)], method, lambda, Ct);

    private static float[] Interleave(float[][] positive, float[][] negative) => [.. positive.Zip(negative, (p, n) => p.Concat(n)).SelectMany(row => row)];

    private static float[][] Rows(Random random, int rows, int width, double shift) =>
        [.. Enumerable.Range(0, rows).Select(_ => Enumerable.Range(0, width).Select(_ => (float)(Normal(random) + shift)).ToArray())];

    // Box and Muller.
    private static double Normal(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    private static double Dot(double[] left, double[] right) => left.Zip(right, (a, b) => a * b).Sum();
}

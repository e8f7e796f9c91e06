using CsCheck;
using LrtMesh.Core.Steering.Learning;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Steering.Learning;

public sealed class SeparationTests
{
    [Theory]
    [InlineData(new double[] { 3, 4 }, new double[] { 1, 2 }, 1)]
    [InlineData(new double[] { 1, 2 }, new double[] { 3, 4 }, 0)]
    [InlineData(new double[] { 1, 1 }, new double[] { 1, 1 }, 0.5)]
    [InlineData(new double[] { 2 }, new double[] { 1, 2, 3 }, 0.5)]
    [InlineData(new double[] { 2, 2, 5 }, new double[] { 2, 1 }, (0.5 + 1 + 0.5 + 1 + 1 + 1) / 6)]
    public void Auc_counts_pairs_and_half_of_ties(double[] positive, double[] negative, double expected) =>
        Assert.Equal(expected, Separation.AucOf(positive, negative), 12);

    [Fact]
    public void Auc_is_the_share_of_pairs_in_order()
    {
        var scores = Gen.Int[-5, 5].Select(i => (double)i).Array[1, 20];
        Gen.Select(scores, scores).Sample((positive, negative) => Assert.Equal(BruteForce(positive, negative), Separation.AucOf(positive, negative), 9));
    }

    [Theory]
    [InlineData(new double[] { 1, 1 }, new double[] { -1, -1 }, 1)]
    [InlineData(new double[] { -1, -1 }, new double[] { 1, 1 }, -1)]
    [InlineData(new double[] { 2, 2 }, new double[] { 2, 2 }, 0)]
    [InlineData(new double[] { 2, 0 }, new double[] { 0, -2 }, 0.70710678118654752)] // covariance 1, spread √2
    public void Correlation_is_that_of_the_scores_with_the_class(double[] positive, double[] negative, double expected) =>
        Assert.Equal(expected, Separation.CorrelationOf(positive, negative), 12);

    [Fact]
    public void Pairs_are_projected_on_what_the_other_folds_teach()
    {
        // Pair 0 points down, and the others, held out together, up: each fold is the wrong way round for the other.
        Assert.Equal(0, Learn([[-1], [1], [1]], [[0], [0], [0]], [0, 1, 1]).Auc);
        // All alike: told apart.
        Assert.Equal(1, Learn([[1], [1]], [[0], [0]], [0, 1]).Auc);
        // A fold that the others teach nothing about counts as chance.
        Assert.Equal(0.5, Learn([[1], [2]], [[0], [2]], [1, 0]).Auc);
    }

    [Fact]
    public void Cross_validation_is_what_it_says()
    {
        // In one dimension the projection of h is (h - midpoint) / gap of the other folds, whatever the method.
        Gen.Int[0, 1 << 20].Sample(
            seed =>
            {
                var random = new Random(seed);
                float[] Draw() => [.. Enumerable.Range(0, 12).Select(_ => random.NextSingle())];
                var (positive, negative) = (Draw(), Draw());
                var folds = Enumerable.Range(0, 12).Select(pair => pair % 3).ToArray();
                double[] Scores(float[] of) => [.. of.Select((state, pair) =>
                {
                    var others = Enumerable.Range(0, 12).Where(other => folds[other] != folds[pair]).ToArray();
                    var (up, down) = (others.Average(other => (double)positive[other]), others.Average(other => (double)negative[other]));
                    return (state - ((up + down) / 2)) / (up - down);
                })];
                var learnt = Learn([.. positive.Select(state => new[] { state })], [.. negative.Select(state => new[] { state })], folds);

                Assert.Equal(BruteForce(Scores(positive), Scores(negative)), learnt.Auc, 1e-9);
            },
            iter: 200);
    }

    [Fact]
    public void The_best_is_that_of_the_highest_auc_then_correlation_then_the_first()
    {
        Assert.Equal(2, Separation.Best([new(0.8, 0.9), new(0.9, 0.3), new(0.95, 0.1)]));
        Assert.Equal(1, Separation.Best([new(1, 0.7), new(1, 0.9), new(1, 0.8)]));
        Assert.Equal(0, Separation.Best([new(1, 0.9), new(1, 0.9)]));
    }

    [Fact]
    public void No_text_is_in_two_folds_and_folds_are_even_where_texts_allow()
    {
        var text = Gen.Int[0, 30].Select(i => $"t{i}");
        Gen.Select(text, text).Select(pair => (pair.Item1, pair.Item2)).Array[2, 40].Sample(pairs =>
        {
            int[] folds;
            try
            {
                folds = HeldOutFolds.Of(pairs);
            }
            catch (LrtMeshException e)
            {
                Assert.Equal("pairs", Assert.Single(e.Violations).Field);
                Assert.Single(Groups(pairs));
                return;
            }

            Assert.All(Groups(pairs), group => Assert.Single(group.Select(pair => folds[pair]).Distinct()));
            Assert.Equal(Math.Min(HeldOutFolds.Count, Groups(pairs).Count), folds.Distinct().Count());
        });
        Assert.Equal([0, 1, 2, 3, 4, 0, 1], HeldOutFolds.Of([.. Enumerable.Range(0, 7).Select(i => ($"p{i}", $"n{i}"))]));
        Assert.Equal([0, 1, 0], HeldOutFolds.Of([("a", "b"), ("c", "d"), ("e", "b")]));
    }

    // Merged until nothing more merges.
    private static List<HashSet<int>> Groups((string Positive, string Negative)[] pairs)
    {
        var groups = pairs.Select((pair, i) => (Pairs: new HashSet<int> { i }, Texts: new HashSet<string> { pair.Positive, pair.Negative })).ToList();
        for (var i = 0; i < groups.Count; i++)
        {
            for (var j = i + 1; j < groups.Count; j++)
            {
                if (groups[i].Texts.Overlaps(groups[j].Texts))
                {
                    groups[i].Pairs.UnionWith(groups[j].Pairs);
                    groups[i].Texts.UnionWith(groups[j].Texts);
                    groups.RemoveAt(j);
                    j = i;
                }
            }
        }

        return [.. groups.Select(group => group.Pairs)];
    }

    private static Separation Learn(float[][] positive, float[][] negative, int[] folds) => LearntDirection.Learn(
        PairedStates.From([.. positive.Zip(negative, (p, n) => p.Concat(n)).SelectMany(row => row)], positive[0].Length),
        folds,
        VectorMethod.DifferenceOfMeans,
        0,
        TestContext.Current.CancellationToken).HeldOut;

    private static double BruteForce(double[] positive, double[] negative) =>
        positive.SelectMany(p => negative.Select(n => p > n ? 1 : p == n ? 0.5 : 0)).Average();
}

using LrtMesh.Core.Maps;
using Xunit;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class RidgeTests : TorchLeakCheck
{
    private const int Folds = 5;

    [Fact]
    public void A_known_affine_map_is_recovered()
    {
        var rows = PairedRows.Affine(1, 8, 6, 60, 50, noise: 0);
        var fit = Ridge.Fit(rows.Accumulate(Folds).Pair());
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        AssertMap(PairedRows.ClosedForm(x, y, 0), fit, 1e-4);
        Assert.InRange(fit.R2, 1 - 1e-6, 1);
        Assert.InRange(fit.Cosine, 1 - 1e-6, 1 + 1e-9);
        Assert.InRange(fit.Lambda, 0, 1e-6);
        Assert.Equal((8, 0), (fit.Rank, fit.ConstantDimensions));
        Assert.Equal((x.Length, rows.Folds(Folds, f => f == Folds - 1).X.Length), (fit.Rows, fit.HeldOutRows));
        Assert.True(fit.SolveTime > TimeSpan.Zero);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1e-6)]
    [InlineData(0.01)]
    [InlineData(1)]
    [InlineData(100)]
    public void Ridge_is_the_closed_form(double lambda)
    {
        var rows = PairedRows.Affine(2, 10, 7, 50, 40, noise: 2);
        var fit = Ridge.Fit(rows.Accumulate(Folds).Pair(), lambda);
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var expected = PairedRows.ClosedForm(x, y, lambda);
        AssertMap(expected, fit, 1e-5);

        var (heldX, heldY) = rows.Folds(Folds, f => f == Folds - 1);
        Assert.Equal(1 - (PairedRows.Residual(expected, heldX, heldY) / PairedRows.Variance(heldY)), fit.R2, 1e-5);
        Assert.Equal(MeanCosine(expected, heldX, heldY, PairedRows.Mean(y)), fit.Cosine, 1e-5);
        Assert.Equal(lambda, fit.Lambda);
    }

    [Fact]
    public void Cross_validation_is_what_refitting_gives()
    {
        var rows = PairedRows.Affine(3, 9, 5, 20, 8, noise: 6);
        var scores = Ridge.CrossValidate(rows.Accumulate(Folds).Pair());
        Assert.Equal(Ridge.Lambdas, scores.Select(s => s.Lambda));
        foreach (var score in scores)
        {
            var (residual, count) = (0.0, 0);
            for (var fold = 0; fold < Folds - 1; fold++)
            {
                var (x, y) = rows.Folds(Folds, f => f < Folds - 1 && f != fold);
                var (leftX, leftY) = rows.Folds(Folds, f => f == fold);
                residual += PairedRows.Residual(PairedRows.ClosedForm(x, y, score.Lambda), leftX, leftY);
                count += leftX.Length;
            }

            Assert.Equal(residual / count, score.Error, 1e-5 * residual / count);
        }

        var fit = Ridge.Fit(rows.Accumulate(Folds).Pair());
        Assert.Equal(scores.MinBy(s => s.Error)!.Lambda, fit.Lambda);
        Assert.InRange(fit.Lambda, 1e-4, 1); // with this much noise neither end of the grid is best
    }

    [Fact]
    public void The_held_out_fold_has_no_say_in_the_map()
    {
        var rows = PairedRows.Affine(4, 6, 4, 25, 20, noise: 1);
        var before = Ridge.Fit(rows.Accumulate(Folds).Pair());
        for (var i = Folds - 1; i < rows.Documents.Count; i += Folds)
        {
            var (x, y) = rows.Documents[i];
            rows.Documents[i] = (x, [.. y.Select(row => row.Select(v => -3 * v).ToArray())]);
        }

        var after = Ridge.Fit(rows.Accumulate(Folds).Pair());
        Assert.Equal(before.Lambda, after.Lambda);
        Assert.Equal(before.A, after.A);
        Assert.Equal(before.B, after.B);
        Assert.True(after.R2 < 0, $"R² {after.R2} on rows that were turned round");
    }

    [Theory]
    [InlineData(null)]
    [InlineData(0.0)]
    [InlineData(0.1)]
    public void Fewer_rows_than_dimensions_give_the_least_map_that_fits(double? lambda)
    {
        var rows = PairedRows.Affine(5, 60, 4, 10, 3, noise: 0);
        var fit = Ridge.Fit(rows.Accumulate(Folds).Pair(), lambda);
        Assert.All(fit.A.Concat(fit.B), v => Assert.True(double.IsFinite(v)));
        Assert.True(double.IsFinite(fit.R2) && double.IsFinite(fit.Cosine));
        Assert.Equal(fit.Rows - 1, fit.Rank);
        Assert.InRange(fit.R2, -1, 1);
        if (lambda == 0)
        {
            // No penalty: the rows of the fit are met exactly.
            var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
            Assert.InRange(PairedRows.Residual(Map(fit), x, y) / PairedRows.Variance(y), 0, 1e-8);
        }
        else if (lambda is { } given)
        {
            var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
            AssertMap(PairedRows.ClosedForm(x, y, given), fit, 1e-4);
        }
    }

    [Fact]
    public void Dimensions_that_repeat_or_never_vary_do_no_harm()
    {
        var rows = PairedRows.Affine(6, 8, 5, 40, 30, noise: 0, reshape: x => (x[3], x[5], x[6], x[7]) = (x[2], 4.1f, 0, -2 * x[0]));
        foreach (var lambda in new double?[] { 0, null })
        {
            var fit = Ridge.Fit(rows.Accumulate(Folds).Pair(), lambda);
            Assert.Equal((4, 2), (fit.Rank, fit.ConstantDimensions));
            Assert.InRange(fit.R2, 1 - 1e-6, 1);
            Assert.All(fit.A, v => Assert.InRange(Math.Abs(v), 0, 10));
            for (var j = 0; j < 5; j++)
            {
                Assert.Equal(fit.A[(j * 8) + 2], fit.A[(j * 8) + 3], 1e-4); // what repeats shares the weight
                Assert.Equal(0, fit.A[(j * 8) + 5], 1e-6);
                Assert.Equal(0, fit.A[(j * 8) + 6], 1e-6);
            }
        }
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(null)]
    public void A_dimension_that_varies_only_in_the_held_out_fold_is_ignored(double? lambda)
    {
        // The first document, which sets the origin, is the held-out one: the dimension is constant, but not 0, in the fit.
        var rows = PairedRows.Affine(14, 6, 4, 30, 30, noise: 0);
        var moments = new MomentAccumulator(6, 4, Folds, false);
        for (var i = 0; i < rows.Documents.Count; i++)
        {
            var fold = (i + Folds - 1) % Folds;
            Array.ForEach(rows.Documents[i].X, x => x[4] = fold == Folds - 1 ? 3.3f + x[4] : 0.1f);
            moments.Add(fold, PairedRows.Flat(rows.Documents[i].X), PairedRows.Flat(rows.Documents[i].Y));
        }

        var fit = Ridge.Fit(moments.Pair(), lambda);
        Assert.Equal((5, 1), (fit.Rank, fit.ConstantDimensions));
        Assert.All(Map(fit).A, weights => Assert.Equal(0, weights[4], 1e-9));
    }

    [Fact]
    public void Repeated_rows_change_nothing()
    {
        var rows = PairedRows.Affine(7, 6, 4, 20, 20, noise: 1);
        var doubled = new PairedRows(6, 4);
        doubled.Documents.AddRange(rows.Documents.Select(d => (d.X.Concat(d.X).ToArray(), d.Y.Concat(d.Y).ToArray())));
        var (once, twice) = (Ridge.Fit(rows.Accumulate(Folds).Pair(), 0.1), Ridge.Fit(doubled.Accumulate(Folds).Pair(), 0.1));
        AssertMap(Map(once), twice, 1e-5);
        Assert.Equal(once.R2, twice.R2, 1e-6);
    }

    [Fact]
    public void A_dimension_10000_times_as_large_does_not_drown_the_others()
    {
        var rows = PairedRows.Affine(8, 12, 5, 60, 50, noise: 0.1, reshape: x => x[4] *= 1e4f);
        // Its share of y would hide theirs: y follows the other dimensions alone.
        foreach (var (x, y) in rows.Documents)
        {
            for (var row = 0; row < x.Length; row++)
            {
                y[row] = [.. Enumerable.Range(0, 5).Select(j => x[row][j] - x[row][j + 6] + (j == 4 ? -x[row][4] + x[row][5] : 0))];
            }
        }

        var fit = Ridge.Fit(rows.Accumulate(Folds).Pair());
        Assert.Equal(12, fit.Rank);
        var (fitX, fitY) = rows.Folds(Folds, f => f < Folds - 1);
        AssertMap(PairedRows.ClosedForm(fitX, fitY, fit.Lambda), fit, 1e-3);
        Assert.InRange(fit.R2, 1 - 1e-4, 1);
    }

    [Fact]
    public void A_target_that_never_varies_gives_its_value_and_no_NaN()
    {
        var rows = PairedRows.Affine(9, 4, 3, 10, 10, noise: 0);
        foreach (var (_, y) in rows.Documents)
        {
            Array.Fill(y, [1.5f, -2, 0]);
        }

        var fit = Ridge.Fit(rows.Accumulate(Folds).Pair());
        Assert.All(fit.A, v => Assert.Equal(0, v, 1e-9));
        Assert.Equal([1.5, -2, 0], fit.B, (a, b) => Math.Abs(a - b) < 1e-9);
        Assert.Equal((0.0, 0.0), (fit.R2, fit.Cosine));
    }

    [Fact]
    public void The_shuffled_control_explains_nothing_where_the_map_explains_all()
    {
        var rows = PairedRows.Affine(10, 12, 8, 200, 50, noise: 0.5);
        var moments = rows.Accumulate(Folds, shuffled: true);
        var fit = Ridge.Fit(moments.Pair());
        var control = Ridge.FitShuffled(moments.Pair(), fit.Lambda);
        Assert.InRange(fit.R2, 0.95, 1);
        Assert.InRange(control.R2, -0.04, 0.04); // by chance ±0.01 with 8,000 rows
        Assert.InRange(Math.Abs(control.Cosine), 0, 0.2);
        Assert.Equal((fit.Lambda, fit.Rows, fit.HeldOutRows), (control.Lambda, control.Rows, control.HeldOutRows));

        // The target's mean is still right, and the same run gives the same control.
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var shift = PairedRows.Mean(y).Select((m, j) => m - Map(control).B[j] - PairedRows.Dot(Map(control).A[j], PairedRows.Mean(x).Select(v => (float)v)));
        Assert.All(shift, v => Assert.InRange(Math.Abs(v), 0, 0.5));
        Assert.Equal(control.A, Ridge.FitShuffled(rows.Accumulate(Folds, shuffled: true).Pair(), fit.Lambda).A);
    }

    [Fact]
    public void Rows_that_have_nothing_to_do_with_each_other_get_no_R2()
    {
        var moments = PairedRows.Independent(11, 10, 10, 100, 40).Accumulate(Folds, shuffled: true);
        var fit = Ridge.Fit(moments.Pair());
        Assert.InRange(fit.R2, -0.02, 0.01);
        Assert.InRange(Ridge.FitShuffled(moments.Pair(), fit.Lambda).R2, -0.02, 0.01);
        Assert.Equal(10, fit.Lambda); // the strongest penalty of the grid
    }

    [Fact]
    public void What_cannot_be_fitted_is_refused_with_a_reason()
    {
        var rows = PairedRows.Affine(12, 3, 2, 10, 10, noise: 0);
        foreach (var lambda in new[] { -1, double.NaN, double.PositiveInfinity })
        {
            Assert.Equal("fit.lambda", Assert.Throws<LrtMeshException>(() => Ridge.Fit(rows.Accumulate(Folds).Pair(), lambda)).Violations[0].Field);
        }

        AssertRefused(() => Ridge.Fit(new MomentAccumulator(3, 2, Folds, false).Pair()), "no paired rows");
        AssertRefused(() => Ridge.FitShuffled(rows.Accumulate(Folds).Pair(), 1), "two documents");

        var few = new PairedRows(3, 2);
        few.Documents.AddRange(rows.Documents.Take(Folds - 1));
        AssertRefused(() => Ridge.Fit(few.Accumulate(Folds).Pair()), "held-out fold has no rows");

        var one = new MomentAccumulator(3, 2, 3, false);
        one.Add(0, PairedRows.Flat(rows.Documents[0].X), PairedRows.Flat(rows.Documents[0].Y));
        one.Add(2, PairedRows.Flat(rows.Documents[2].X), PairedRows.Flat(rows.Documents[2].Y));
        AssertRefused(() => Ridge.Fit(one.Pair()), "choose lambda");
        Assert.True(double.IsFinite(Ridge.Fit(one.Pair(), 0.1).R2));

        static void AssertRefused(Action action, string reason)
        {
            var error = Assert.Throws<LrtMeshException>(action);
            Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
            Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_stored_map_says_what_it_was_fitted_on_and_maps_rows()
    {
        var rows = PairedRows.Affine(13, 7, 9, 30, 30, noise: 0);
        var moments = rows.Accumulate(Folds).Pair();
        var fit = Ridge.Fit(moments);
        var map = fit.ToAffineMap(new V1.AffineMap { Name = "m", Source = new() { Model = "s" }, Target = new() { Model = "t", Layer = 3 } }, moments);
        Assert.Equal(("m", 7u, 9u), (map.Info.Name, map.Info.SourceWidth, map.Info.TargetWidth));
        Assert.Equal((fit.R2, fit.Cosine, fit.Lambda), (map.Info.Metrics.R2, map.Info.Metrics.Cosine, map.Info.Metrics.Lambda));
        Assert.Equal(((ulong)fit.Rows, (ulong)fit.HeldOutRows), (map.Info.Metrics.Rows, map.Info.Metrics.HeldOutRows));
        Assert.Equal(fit.SolveTime.Ticks, map.Info.Metrics.SolveTime.ToTimeSpan().Ticks);

        var x = rows.Documents[0].X;
        foreach (var addBias in new[] { true, false })
        {
            var batch = map.ApplyRows(PairedRows.Flat(x), addBias);
            var single = x.SelectMany(row => map.Apply(row, addBias)).ToArray();
            Assert.Equal(single.Length, batch.Length);
            Assert.All(single.Zip(batch), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        }

        Assert.Empty(map.ApplyRows([], true));
        Assert.Equal("rows", Assert.Throws<LrtMeshException>(() => map.ApplyRows(new float[8], true)).Violations[0].Field);
    }

    private static (double[][] A, double[] B) Map(MapFit fit) => ([.. fit.A.Chunk(fit.A.Length / fit.B.Length)], fit.B);

    /// <summary>To a share of the largest element.</summary>
    private static void AssertMap((double[][] A, double[] B) expected, MapFit actual, double relative)
    {
        var scale = expected.A.SelectMany(r => r).Concat(expected.B).Max(Math.Abs);
        Assert.Equal(expected.A.SelectMany(r => r), actual.A, (a, b) => Math.Abs(a - b) <= relative * scale);
        Assert.Equal(expected.B, actual.B, (a, b) => Math.Abs(a - b) <= relative * scale);
    }

    private static double MeanCosine((double[][] A, double[] B) map, float[][] x, float[][] y, double[] mean) =>
        x.Zip(y, (xr, yr) =>
        {
            var mapped = map.A.Select((weights, j) => PairedRows.Dot(weights, xr) + map.B[j] - mean[j]).ToArray();
            var native = yr.Select((v, j) => v - mean[j]).ToArray();
            return mapped.Zip(native, (a, b) => a * b).Sum() / Math.Sqrt(mapped.Sum(a => a * a) * native.Sum(b => b * b));
        }).Average();
}

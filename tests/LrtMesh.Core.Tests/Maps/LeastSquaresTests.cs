using LrtMesh.Core.Maps;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class LeastSquaresTests : TorchLeakCheck
{
    private const int Folds = 4;

    [Theory]
    [InlineData(12, 7)]
    [InlineData(5, 9)]
    [InlineData(300, 40)] // more than one panel of products
    public void Least_squares_is_the_QR_solution_of_the_rows(int sourceWidth, int targetWidth)
    {
        using var scope = NewDisposeScope();
        var rows = PairedRows.Affine(1, sourceWidth, targetWidth, 30, 60, noise: 3);
        var fit = LeastSquares.Fit(rows.Accumulate(Folds).Pair());
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var (q, r) = linalg.qr(RowTensors.Centred(x));
        var expected = linalg.solve(r, q.t().matmul(RowTensors.Centred(y))).t();
        Assert.InRange(RowTensors.Difference(expected, RowTensors.MapOf(fit)), 0, 1e-5);
        var bias = RowTensors.Of(y).mean([0L]) - expected.mv(RowTensors.Of(x).mean([0L]));
        Assert.InRange(RowTensors.Difference(bias, tensor(fit.B)), 0, 1e-4);
        Assert.Equal((sourceWidth, 0, FitMethod.LeastSquares), (fit.Rank, fit.ConstantDimensions, fit.Method));
    }

    [Fact]
    public void Dimensions_of_scale_10000_beside_a_hundredth_keep_their_digits()
    {
        using var scope = NewDisposeScope();
        const int Width = 24;
        var scales = Enumerable.Range(0, Width).Select(i => Math.Pow(10, -2 + (i % 7))).ToArray(); // 1e-2 to 1e4
        var rows = RowTensors.Made(
            2, 40, 50, Width, 10,
            (random, x) => (x / tensor(scales)).matmul(RowTensors.Normals(random, Width, 10)) + (0.5 * RowTensors.Normals(random, (int)x.shape[0], 10)),
            _ => tensor(scales));
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var expected = linalg.lstsq(RowTensors.Centred(x) / tensor(scales), RowTensors.Centred(y)).Solution.t(); // in units of the scales
        foreach (var fit in new[] { LeastSquares.Fit(rows.Accumulate(Folds).Pair()), Ridge.Fit(rows.Accumulate(Folds).Pair(), 1e-10, standardize: true) })
        {
            Assert.InRange(RowTensors.Difference(expected, RowTensors.MapOf(fit) * tensor(scales)), 0, 1e-6);
            Assert.Equal(Width, fit.Rank);
        }
    }

    [Theory]
    [InlineData(40, 24)]
    [InlineData(40, 39)]
    [InlineData(64, 3)]
    public void Fewer_rows_than_dimensions_give_the_map_of_least_norm(int width, int rowsInFit)
    {
        using var scope = NewDisposeScope();
        var rows = RowTensors.Made(3, Folds, rowsInFit / (Folds - 1), width, 6, (random, x) => x.matmul(RowTensors.Normals(random, width, 6)));
        var fit = LeastSquares.Fit(rows.Accumulate(Folds).Pair());
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var expected = linalg.pinv(RowTensors.Centred(x), rtol: 1e-9).matmul(RowTensors.Centred(y)).t();
        Assert.Equal(rowsInFit - 1, fit.Rank);
        Assert.InRange(RowTensors.Difference(expected, RowTensors.MapOf(fit)), 0, 1e-3);
        Assert.InRange(RowTensors.Difference(RowTensors.Centred(y), RowTensors.Centred(x).matmul(RowTensors.MapOf(fit).t())), 0, 1e-4);
    }

    [Fact]
    public void Copied_and_constant_dimensions_are_reported_and_share_the_weight()
    {
        using var scope = NewDisposeScope();
        var rows = PairedRows.Affine(4, 9, 5, 30, 40, noise: 0.5, reshape: x =>
        {
            x[6] = 100 * x[1]; // a copy, and far larger
            x[3] = 7;
        });
        var fit = LeastSquares.Fit(rows.Accumulate(Folds).Pair());
        Assert.Equal((7, 1), (fit.Rank, fit.ConstantDimensions));
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var expected = linalg.pinv(RowTensors.Centred(x), rtol: 1e-6).matmul(RowTensors.Centred(y)).t();
        Assert.InRange(RowTensors.Difference(expected, RowTensors.MapOf(fit)), 0, 1e-4);
        Assert.All(fit.A.Chunk(9), weights => Assert.Equal(0, weights[3], 1e-12));
    }

    [Fact]
    public void Standardized_ridge_penalizes_each_dimension_by_its_own_variance()
    {
        using var scope = NewDisposeScope();
        var scales = Enumerable.Range(0, 11).Select(i => i == 4 ? 1000.0 : 1 + (i % 3)).ToArray();
        var rows = RowTensors.Made(
            5, 30, 30, 11, 6,
            (random, x) => (x / tensor(scales)).matmul(RowTensors.Normals(random, 11, 6)) + (2 * RowTensors.Normals(random, (int)x.shape[0], 6)),
            _ => tensor(scales));
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var (cx, cy) = (RowTensors.Centred(x), RowTensors.Centred(y));
        var normal = cx.t().matmul(cx);
        foreach (var lambda in new[] { 1e-3, 0.1, 5 })
        {
            var expected = linalg.solve(normal + diag(normal.diagonal() * lambda), cx.t().matmul(cy)).t();
            var fit = Ridge.Fit(rows.Accumulate(Folds).Pair(), lambda, standardize: true);
            Assert.InRange(RowTensors.Difference(expected, RowTensors.MapOf(fit)), 0, 1e-5);
        }

        // Cross-validation scores what refitting gives, in these units too.
        var scores = Ridge.CrossValidate(rows.Accumulate(Folds).Pair(), standardize: true);
        var best = Ridge.Fit(rows.Accumulate(Folds).Pair(), standardize: true);
        Assert.Equal(scores.MinBy(s => s.Error)!.Lambda, best.Lambda);
    }

    [Fact]
    public void The_map_back_is_the_map_of_the_exchanged_rows()
    {
        var rows = PairedRows.Affine(6, 8, 12, 30, 30, noise: 1);
        var exchanged = new PairedRows(12, 8);
        exchanged.Documents.AddRange(rows.Documents.Select(d => (d.Y, d.X)));
        var back = LeastSquares.Fit(rows.Accumulate(Folds, shuffled: true).Pair().Transposed());
        var direct = LeastSquares.Fit(exchanged.Accumulate(Folds).Pair());
        using var scope = NewDisposeScope();
        Assert.InRange(RowTensors.Difference(RowTensors.MapOf(direct), RowTensors.MapOf(back)), 0, 1e-4);
        Assert.Equal((direct.R2, direct.Cosine), (back.R2, back.Cosine), (a, b) => Math.Abs(a.Item1 - b.Item1) < 1e-6 && Math.Abs(a.Item2 - b.Item2) < 1e-6);
    }

    [Fact]
    public void An_empty_fold_of_the_fit_changes_nothing()
    {
        var rows = PairedRows.Affine(7, 6, 4, 9, 40, noise: 1);
        var (all, empty) = (new MomentAccumulator(6, 4, 3, true), new MomentAccumulator(6, 4, 4, true));
        for (var i = 0; i < 9; i++)
        {
            all.Add(i % 3, PairedRows.Flat(rows.Documents[i].X), PairedRows.Flat(rows.Documents[i].Y));
            empty.Add(i % 3 == 2 ? 3 : i % 3, PairedRows.Flat(rows.Documents[i].X), PairedRows.Flat(rows.Documents[i].Y));
        }

        Assert.Equal(LeastSquares.Fit(all.Pair()).A, LeastSquares.Fit(empty.Pair()).A);
        Assert.Equal(Ridge.Fit(all.Pair()).A, Ridge.Fit(empty.Pair()).A);
    }
}

using LrtMesh.Core.Maps;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class MapMetricsTests : TorchLeakCheck
{
    private const int Folds = 4;

    [Fact]
    public void Held_out_errors_are_those_of_the_rows()
    {
        using var scope = NewDisposeScope();
        var rows = PairedRows.Affine(1, 9, 6, 30, 40, noise: 3);
        foreach (var (_, y) in rows.Documents)
        {
            Array.ForEach(y, row => (row[2], row[4]) = (50 * row[2], 7)); // one large, one constant
        }

        var moments = rows.Accumulate(Folds).Pair();
        var fit = LeastSquares.Fit(moments);
        var (heldX, heldY) = rows.Folds(Folds, f => f == Folds - 1);
        var (x, native) = (RowTensors.Of(heldX), RowTensors.Of(heldY));
        var errors = (native - x.matmul(RowTensors.MapOf(fit).t()) - tensor(fit.B)).square().sum([0L]); // [dt]
        var variances = RowTensors.Centred(heldY).square().sum([0L]);
        var metrics = fit.HeldOut;
        for (var j = 0; j < 6; j++)
        {
            Assert.Equal(j == 4 ? 0 : 1 - (errors[j] / variances[j]).item<double>(), metrics.R2PerDimension[j], 1e-5);
        }

        Assert.Equal(1 - (errors.sum() / variances.sum()).item<double>(), metrics.R2, 1e-5);
        Assert.Equal([2], metrics.LargestDimensions);
        Assert.Equal(1 - ((errors.sum() - errors[2]) / (variances.sum() - variances[2])).item<double>(), metrics.R2WithoutLargest, 1e-5);
        Assert.Equal((errors.sum() / native.square().sum()).sqrt().item<double>(), metrics.RelativeError, 1e-5);
        Assert.Equal(1, metrics.MeanSquaredError / errors.sum().item<double>() * heldX.Length * 6, 1e-4);
        Assert.Equal(metrics.R2, HeldOutMetrics.Measure(moments.HeldOut, fit.A, fit.B).R2, 1e-12);
    }

    [Fact]
    public void Similarities_are_those_of_the_rows()
    {
        using var scope = NewDisposeScope();
        var rows = PairedRows.Affine(2, 8, 5, 30, 60, noise: 6);
        var moments = rows.Accumulate(Folds).Fold(Folds - 1);
        var (heldX, heldY) = rows.Folds(Folds, f => f == Folds - 1);
        var (x, y) = (RowTensors.Centred(heldX), RowTensors.Centred(heldY));
        var cka = x.t().matmul(y).square().sum() / (x.t().matmul(x).square().sum().sqrt() * y.t().matmul(y).square().sum().sqrt());
        Assert.Equal(cka.item<double>(), LayerSimilarity.LinearCka(moments), 1e-5);

        // Singular vectors of the rows, as many as keep 90% of the variance, and the cosines between what they span.
        var (kx, ux) = Kept(x);
        var (ky, uy) = Kept(y);
        var svcca = LayerSimilarity.Svcca(moments, 0.9);
        Assert.Equal((kx, ky, heldX.Length), (svcca.SourceComponents, svcca.TargetComponents, svcca.Rows));
        Assert.Equal(linalg.svdvals(ux.t().matmul(uy)).mean().item<double>(), svcca.Mean, 1e-5);

        static (int, Tensor) Kept(Tensor rows)
        {
            var (u, s, _) = linalg.svd(rows, fullMatrices: false);
            var share = s.square().cumsum(0) / s.square().sum();
            var kept = (int)(share < 0.9).sum().item<long>() + 1;
            return (kept, u.narrow(1, 0, kept));
        }
    }

    [Fact]
    public void A_layer_is_like_any_turn_of_itself()
    {
        var rows = RowTensors.Made(3, 9, 200, 6, 6, (random, x) => 3 * x.matmul(RowTensors.Orthonormal(random, 6, 6)));
        var moments = rows.Accumulate(3).Fold(0);
        Assert.Equal(1, LayerSimilarity.LinearCka(moments), 1e-5);
        Assert.Equal(1, LayerSimilarity.Svcca(moments).Mean, 1e-5);
        var independent = PairedRows.Independent(4, 6, 6, 9, 500).Accumulate(3).Fold(0);
        Assert.InRange(LayerSimilarity.LinearCka(independent), 0, 0.02);
        Assert.InRange(LayerSimilarity.Svcca(independent).Mean, 0, 0.1);
    }

    [Fact]
    public void Condition_numbers()
    {
        Assert.Equal(6, LayerSimilarity.ConditionNumber([3, 0, 0, 0, 0.5, 0], 2), 1e-9);
        Assert.Equal(double.PositiveInfinity, LayerSimilarity.ConditionNumber([1, 1, 1, 1], 2));
        var rows = RowTensors.Made(5, 3, 400, 3, 2, (_, x) => x.narrow(1, 0, 2), _ => tensor(new[] { 1.0, 10, 100 }));
        var moments = rows.Accumulate(3).Fold(0);
        using var scope = NewDisposeScope();
        var s = linalg.svdvals(RowTensors.Centred(rows.Folds(3, f => f == 0).X));
        Assert.Equal(1, LayerSimilarity.SourceConditionNumber(moments) / (s[0] / s[2]).square().item<double>(), 1e-3);
        var copied = PairedRows.Affine(6, 4, 2, 9, 40, 1, x => x[3] = x[0]).Accumulate(3).Fold(0);
        Assert.Equal(double.PositiveInfinity, LayerSimilarity.SourceConditionNumber(copied));
    }

    [Fact]
    public void The_distance_of_an_input_is_that_of_Mahalanobis()
    {
        using var scope = NewDisposeScope();
        var rows = PairedRows.Affine(7, 7, 3, 30, 60, noise: 1, reshape: x => (x[1], x[5]) = (1000 * x[0] + (30 * x[1]), x[5] + 40));
        var moments = rows.Accumulate(Folds).Pair();
        var region = SourceRegion.Of(moments);
        var (fitX, _) = rows.Folds(Folds, f => f < Folds - 1);
        var mean = RowTensors.Of(fitX).mean([0L]);
        var centred = RowTensors.Centred(fitX);
        var inverse = linalg.inv(centred.t().matmul(centred) / (fitX.Length - 1));
        float[] far = [.. fitX[3].Select((v, i) => v + (i * 3f))];
        foreach (var x in new[] { fitX[0], fitX[1], far })
        {
            var difference = tensor(x).to(ScalarType.Float64) - mean;
            Assert.Equal(1, region.Distance(x, isState: true) / difference.dot(inverse.mv(difference)).sqrt().item<double>(), 1e-3);
            var direction = tensor(x).to(ScalarType.Float64);
            Assert.Equal(1, region.Distance(x, isState: false) / direction.dot(inverse.mv(direction)).sqrt().item<double>(), 1e-3);
        }

        // Of rows like those of the fit, the mean square is the number of dimensions, and few lie beyond the usual distance.
        var (heldX, _) = rows.Folds(Folds, f => f == Folds - 1);
        Assert.InRange(heldX.Average(x => Math.Pow(region.Distance(x, true), 2)), 6, 8);
        Assert.InRange(heldX.Count(x => region.Distance(x, true) > region.Usual), 0, heldX.Length / 50);
        Assert.True(region.Distance(far, true) > region.Usual);
        Assert.Equal("x", Assert.Throws<LrtMeshException>(() => region.Distance(new float[6], true)).Violations[0].Field);
    }

    [Fact]
    public void With_few_directions_the_rest_is_measured_on_average()
    {
        var scales = Enumerable.Range(0, 40).Select(i => i < 4 ? 30.0 : 1).ToArray();
        using var scope = NewDisposeScope();
        var mixing = RowTensors.Orthonormal(new Random(8), 40, 40).DetachFromDisposeScope();
        var rows = RowTensors.Made(8, 20, 100, 40, 2, (random, x) => RowTensors.Normals(random, (int)x.shape[0], 2), random => tensor(scales));
        foreach (var (x, _) in rows.Documents)
        {
            var mixed = RowTensors.Rows(RowTensors.Of(x).matmul(mixing));
            mixed.CopyTo(x, 0);
        }

        mixing.Dispose();
        var moments = rows.Accumulate(Folds).Pair();
        var region = SourceRegion.Of(moments, directions: 4);
        var floats = region.Mean.Length + region.Scale.Length + region.Directions.Length + region.Variances.Length + 2;
        Assert.Equal(SourceRegion.BytesNeeded(40, 4), 4 * floats);
        var (heldX, _) = rows.Folds(Folds, f => f == Folds - 1);
        Assert.InRange(heldX.Average(x => Math.Pow(region.Distance(x, true), 2)), 36, 44);

        // Constant dimensions and rows that do not fill the space leave distances finite, and large outside.
        var flat = PairedRows.Affine(9, 5, 2, 12, 20, 1, x => (x[2], x[4]) = (3, x[1])).Accumulate(Folds).Pair();
        var narrow = SourceRegion.Of(flat);
        Assert.True(double.IsFinite(narrow.Distance([0, 0, 3, 0, 100], true)));
        Assert.True(narrow.Distance([0, 0, 3, 0, 100], true) > 10 * narrow.Usual);
    }
}

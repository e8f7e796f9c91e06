using LrtMesh.Core.Maps;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class ProcrustesTests : TorchLeakCheck
{
    private const int Folds = 4;

    [Theory]
    [InlineData(7, 7, true)]
    [InlineData(7, 7, false)]
    [InlineData(5, 9, true)]
    public void A_target_at_least_as_wide_has_the_closed_form(int sourceWidth, int targetWidth, bool scale)
    {
        using var scope = NewDisposeScope();
        var rows = PairedRows.Affine(1, sourceWidth, targetWidth, 20, 40, noise: 2);
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var (cx, cy) = (RowTensors.Centred(x), RowTensors.Centred(y));
        var (u, s, vh) = linalg.svd(cy.t().matmul(cx), fullMatrices: false);
        var expected = u.matmul(vh) * (scale ? s.sum() / cx.square().sum() : ones(1, dtype: ScalarType.Float64));
        var fit = Procrustes.Fit(rows.Accumulate(Folds).Pair(), scale);
        Assert.InRange(RowTensors.Difference(expected, RowTensors.MapOf(fit)), 0, 1e-5);
        Assert.Equal((0, true, FitMethod.Procrustes), (fit.Iterations, fit.Converged, fit.Method));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_rotation_into_a_wider_target_is_recovered_with_its_scale(bool scale)
    {
        using var scope = NewDisposeScope();
        var rotation = RowTensors.Orthonormal(new Random(2), 11, 6).DetachFromDisposeScope(); // [dt, ds]
        var rows = RowTensors.Made(2, 20, 50, 6, 11, (_, x) => (2.5 * x.matmul(rotation.t())) + 3, _ => tensor(new[] { 1.0, 2, 3, 4, 5, 6 }));
        var fit = Procrustes.Fit(rows.Accumulate(Folds).Pair(), scale);
        Assert.InRange(RowTensors.Difference(rotation * (scale ? 2.5 : 1), RowTensors.MapOf(fit)), 0, 1e-5);
        rotation.Dispose();
    }

    [Theory]
    [InlineData(12, 5, true, 1)]
    [InlineData(12, 5, false, 1)]
    [InlineData(20, 19, true, 2)]
    [InlineData(16, 6, true, 100)] // one dimension far larger than the others
    public void A_narrower_target_is_recovered_where_the_closed_form_fails(int sourceWidth, int targetWidth, bool scale, double outlier)
    {
        using var scope = NewDisposeScope();
        var rotation = RowTensors.Orthonormal(new Random(3), sourceWidth, targetWidth).t().DetachFromDisposeScope(); // [dt, ds]
        var factor = scale ? 0.4 : 1;
        var scales = Enumerable.Range(1, sourceWidth).Select(i => i == 3 ? outlier * i : (double)i).ToArray();
        var rows = RowTensors.Made(4, 20, 60, sourceWidth, targetWidth, (_, x) => factor * x.matmul(rotation.t()), _ => tensor(scales));
        var moments = rows.Accumulate(Folds).Pair();
        var fit = Procrustes.Fit(moments, scale);
        Assert.True(fit.Converged);
        Assert.InRange(RowTensors.Difference(rotation * factor, RowTensors.MapOf(fit)), 0, 1e-3);
        Assert.InRange(fit.R2, 1 - 1e-5, 1);

        // What the closed form of wider targets would have given.
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var (u, _, vh) = linalg.svd(RowTensors.Centred(y).t().matmul(RowTensors.Centred(x)), fullMatrices: false);
        Assert.True(RowTensors.Difference(rotation, u.matmul(vh)) > 0.01);
        rotation.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void With_noise_rows_stay_orthonormal_and_no_turn_does_better(bool scale)
    {
        using var scope = NewDisposeScope();
        var random = new Random(5);
        var rows = PairedRows.Affine(5, 10, 4, 20, 40, noise: 3);
        var fit = Procrustes.Fit(rows.Accumulate(Folds).Pair(), scale);
        Assert.True(fit.Converged && fit.Iterations > 0, $"{fit.Iterations} steps"); // with noise neither start is the answer
        var map = RowTensors.MapOf(fit); // [dt, ds]
        var square = map.matmul(map.t());
        var factor = square[0, 0].sqrt();
        Assert.InRange(RowTensors.Difference(factor.square() * eye(4, dtype: ScalarType.Float64), square), 0, 1e-9);
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var (cx, cy) = (RowTensors.Centred(x), RowTensors.Centred(y));
        var best = Error(map);
        foreach (var size in new[] { 1e-3, 0.1 })
        {
            for (var i = 0; i < 30; i++)
            {
                var turn = RowTensors.Normals(random, 10, 10);
                var turned = map.matmul(linalg.matrix_exp((turn - turn.t()) * size));
                Assert.True(Error(turned) >= best * (1 - 1e-7), $"a turn of {size} does better");
            }
        }

        var (u, _, vh) = linalg.svd(cy.t().matmul(cx), fullMatrices: false);
        Assert.True(best <= Error(u.matmul(vh) * factor));
        if (scale)
        {
            Assert.True(Error(map * 1.001) >= best && Error(map * 0.999) >= best);
        }

        double Error(Tensor a) => (cy - cx.matmul(a.t())).square().sum().item<double>();
    }
}

using LrtMesh.Core.Maps;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class ReducedRankTests : TorchLeakCheck
{
    private const int Folds = 4;

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(8)]
    public void A_map_of_rank_r_is_the_SVD_of_the_fitted_values(int rank)
    {
        using var scope = NewDisposeScope();
        var rows = PairedRows.Affine(1, 10, 8, 30, 50, noise: 4);
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var (cx, cy) = (RowTensors.Centred(x), RowTensors.Centred(y));
        var full = linalg.lstsq(cx, cy).Solution.t(); // [dt, ds]
        var (_, _, vh) = linalg.svd(cx.matmul(full.t()), fullMatrices: false);
        var v = vh.narrow(0, 0, rank).t(); // [dt, rank]
        var fit = ReducedRank.Fit(rows.Accumulate(Folds).Pair(), rank);
        Assert.InRange(RowTensors.Difference(v.matmul(v.t()).matmul(full), RowTensors.MapOf(fit)), 0, 1e-4);
        Assert.Equal((rank, FitMethod.ReducedRank), (fit.Rank, fit.Method));
        Assert.Equal(rank, linalg.matrix_rank(RowTensors.MapOf(fit), rtol: 1e-6).item<long>());
    }

    [Fact]
    public void The_penalized_map_is_projected_on_what_it_fits_of_the_rows_and_the_penalty()
    {
        using var scope = NewDisposeScope();
        var rows = PairedRows.Affine(2, 9, 7, 30, 20, noise: 4);
        var (x, y) = rows.Folds(Folds, f => f < Folds - 1);
        var (cx, cy) = (RowTensors.Centred(x), RowTensors.Centred(y));
        var normal = cx.t().matmul(cx);
        var penalty = 0.3 * normal.trace().item<double>() / 9;
        var augmented = cat([cx, Math.Sqrt(penalty) * eye(9, dtype: ScalarType.Float64)], 0); // ridge as least squares of more rows
        var full = linalg.lstsq(augmented, cat([cy, zeros(9, 7, dtype: ScalarType.Float64)], 0)).Solution.t();
        var (_, _, vh) = linalg.svd(augmented.matmul(full.t()), fullMatrices: false);
        var v = vh.narrow(0, 0, 2).t();
        var fit = ReducedRank.Fit(rows.Accumulate(Folds).Pair(), 2, 0.3);
        Assert.InRange(RowTensors.Difference(v.matmul(v.t()).matmul(full), RowTensors.MapOf(fit)), 0, 1e-4);
    }

    [Fact]
    public void Kept_variance_finds_the_rank_that_the_target_was_made_with()
    {
        var rows = RowTensors.Made(3, 20, 100, 12, 15, (random, x) =>
            x.matmul(RowTensors.Normals(random, 12, 3)).matmul(RowTensors.Normals(random, 3, 15)) + (0.01 * RowTensors.Normals(random, (int)x.shape[0], 15)));
        var moments = rows.Accumulate(Folds).Pair();
        Assert.Equal(3, ReducedRank.FitKeeping(moments, 0.9999).Rank);
        Assert.Equal(12, ReducedRank.FitKeeping(moments, 1).Rank);
        Assert.Equal(1, ReducedRank.FitKeeping(moments, 0.01).Rank);
        Assert.InRange(ReducedRank.Fit(moments, 3).R2 - LeastSquares.Fit(moments).R2, -1e-5, 1e-3);
    }

    [Fact]
    public void Ranks_and_shares_out_of_range_are_refused()
    {
        var moments = PairedRows.Affine(4, 3, 5, 10, 10, noise: 1).Accumulate(Folds).Pair();
        foreach (var rank in new[] { 0, 4, -1 })
        {
            Assert.Equal("fit.rank", Assert.Throws<LrtMeshException>(() => ReducedRank.Fit(moments, rank)).Violations[0].Field);
        }

        foreach (var share in new[] { 0, 1.01, double.NaN })
        {
            Assert.Equal("fit.kept_variance", Assert.Throws<LrtMeshException>(() => ReducedRank.FitKeeping(moments, share)).Violations[0].Field);
        }
    }
}

using System.Diagnostics;
using System.Globalization;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// The best map of a given rank: least squares (or ridge) followed by a projection of the target onto the directions in which
/// its fitted values vary most. A_r = U_r·U_rᵀ·A with U_r the first eigenvectors of A·Σxy = Σŷŷᵀ (Izenman 1975, "Reduced-rank
/// regression for the multivariate linear model", with the identity as weight; with a penalty, Mukherjee and Zhu 2011).
/// </summary>
public static class ReducedRank
{
    /// <summary>Fits a map of a given rank.</summary>
    /// <param name="moments">What was gathered.</param>
    /// <param name="rank">From 1 to the lesser width.</param>
    /// <param name="lambda">Penalty of the ridge map that is projected; 0 is least squares.</param>
    /// <param name="standardize">As for <see cref="Ridge"/>.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: rank or penalty. FailedPrecondition: too few rows.</exception>
    public static MapFit Fit(FoldedMoments moments, int rank, double lambda = 0, bool standardize = false)
    {
        var most = Math.Min(moments.SourceWidth, moments.TargetWidth);
        return rank >= 1 && rank <= most
            ? Fit(moments, (_, known) => Math.Min(rank, known), lambda, standardize)
            : throw LrtMeshException.Invalid("fit.rank", $"must be from 1 to {most}, the lesser width, not {rank}");
    }

    /// <summary>Fits a map of the least rank that keeps a share of the variance of the fitted values.</summary>
    /// <param name="moments">What was gathered.</param>
    /// <param name="share">Above 0 and at most 1.</param>
    /// <param name="lambda">Penalty of the ridge map that is projected; 0 is least squares.</param>
    /// <param name="standardize">As for <see cref="Ridge"/>.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: share or penalty. FailedPrecondition: too few rows.</exception>
    public static MapFit FitKeeping(FoldedMoments moments, double share, double lambda = 0, bool standardize = false) =>
        share > 0 && share <= 1
            ? Fit(moments, (values, known) => Math.Min(known, RankKeeping(values, share)), lambda, standardize)
            : throw LrtMeshException.Invalid(
                "fit.kept_variance", string.Create(CultureInfo.InvariantCulture, $"must be above 0 and at most 1, not {share}"));

    /// <summary>The least r for which the first r values sum to a share of all.</summary>
    internal static int RankKeeping(IReadOnlyList<double> descending, double share)
    {
        var needed = share * descending.Sum();
        var (rank, sum) = (0, 0.0);
        while (rank < descending.Count && (rank == 0 || sum < needed))
        {
            sum += descending[rank++];
        }

        return rank;
    }

    private static MapFit Fit(FoldedMoments moments, Func<double[], int, int> choose, double lambda, bool standardize)
    {
        var watch = Stopwatch.StartNew();
        var fit = moments.Fit();
        using var scope = NewDisposeScope();
        var centred = CentredMoments.Of(fit);
        var full = Ridge.Solve(centred, Ridge.Checked(lambda), standardize);
        var fitted = full.Map.matmul(centred.Xy); // [dt, dt], symmetric but for rounding
        var (values, basis) = linalg.eigh(fitted.add(fitted.t(), Number.One).div_(Number.Of(2)));
        var descending = CentredMoments.Copy(values.clamp_min(Number.Of(0)).flip(0));
        var rank = choose(descending, Math.Min(full.Rank, moments.TargetWidth));
        var kept = basis.narrow(1, moments.TargetWidth - rank, rank); // [dt, rank]
        var solution = new Solution(kept.matmul(kept.t().matmul(full.Map)), rank, full.ConstantDimensions);
        return MapFit.Measure(FitMethod.ReducedRank, moments, fit, centred, solution, lambda, watch);
    }
}

using System.Diagnostics;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Ordinary least squares from moments: A = Σyx·Σxx⁻¹ about the means, in float64. Where the source's dimensions depend on each
/// other (rows fewer than the width, repeated rows, copied dimensions), the map of least norm among those that fit best.
/// </summary>
public static class LeastSquares
{
    /// <summary>Fits a map on all folds but the held-out one, and measures it there.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: too few rows in the fit or none held out.</exception>
    public static MapFit Fit(FoldedMoments moments)
    {
        var watch = Stopwatch.StartNew();
        var fit = moments.Fit();
        using var scope = NewDisposeScope();
        var centred = CentredMoments.Of(fit);
        return MapFit.Measure(FitMethod.LeastSquares, moments, fit, centred, Solve(centred), 0, watch);
    }

    /// <summary>
    /// Solves in units in which every dimension has variance 1 (the fit does not depend on units, its digits do): by Cholesky
    /// where it shows that all eigenvalues are above rounding, and otherwise by eigenvectors.
    /// </summary>
    internal static Solution Solve(CentredMoments moments)
    {
        var covariance = new SourceCovariance(moments, standardize: true);
        var cross = covariance.Cross(moments); // [dt, ds]
        var (factor, info) = linalg.cholesky_ex(covariance.Matrix.add(diag(ones_like(covariance.Varies).sub_(covariance.Varies)), Number.One));
        if (info.item<int>() == 0)
        {
            // 1/e_min ≤ tr S⁻¹ = ‖L⁻¹‖².
            var inverse = linalg.solve_triangular(factor, eye(covariance.Width, dtype: ScalarType.Float64), upper: false);
            if (1 / inverse.mul(inverse).sum().item<double>() > covariance.MostNoise)
            {
                var map = cross.matmul(inverse.t()).matmul(inverse).div_(covariance.Scale);
                return new Solution(map, covariance.Width - covariance.ConstantDimensions, covariance.ConstantDimensions);
            }
        }

        var (values, basis) = linalg.eigh(covariance.Matrix);
        var kept = (values > covariance.Noise(basis)).nonzero().flatten();
        var (e, v) = (values.index_select(0, kept), basis.index_select(1, kept)); // [rank], [ds, rank]
        var any = cross.matmul(v).div_(e).matmul(v.t()).div_(covariance.Scale);

        // Least norm: nothing of A along directions that the rows never take; they span D·V.
        var (span, _) = linalg.qr(v.mul(covariance.Scale.unsqueeze(1))); // [ds, rank]
        return new Solution(any.matmul(span).matmul(span.t()), (int)kept.shape[0], covariance.ConstantDimensions);
    }
}

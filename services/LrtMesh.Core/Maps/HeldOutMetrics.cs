using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>How well a map does on rows that it was not fitted on, from their moments alone.</summary>
/// <param name="Rows">Rows measured on.</param>
/// <param name="R2">1 − Σ‖y − ŷ‖² / Σ‖y − ȳ‖², with ȳ of these rows; 0 where the target never varies.</param>
/// <param name="R2PerDimension">The same for each dimension of the target, [dt]; 0 where it never varies.</param>
/// <param name="R2WithoutLargest">The same over all dimensions but <paramref name="LargestDimensions"/>.</param>
/// <param name="LargestDimensions">The dimensions of the target with the largest variance, largest first: one in a hundred,
/// at least one; none if the target has just one.</param>
/// <param name="RelativeError">√(Σ‖y − ŷ‖² / Σ‖y‖²); 0 where y is 0 throughout.</param>
/// <param name="MeanSquaredError">Σ‖y − ŷ‖² / (rows · dt).</param>
public sealed record HeldOutMetrics(
    long Rows,
    double R2,
    double[] R2PerDimension,
    double R2WithoutLargest,
    int[] LargestDimensions,
    double RelativeError,
    double MeanSquaredError)
{
    /// <summary>Measures y ≈ A·x + b.</summary>
    /// <param name="rows">Moments of the rows to measure on, at least one.</param>
    /// <param name="a">[dt, ds], row-major.</param>
    /// <param name="b">[dt].</param>
    public static HeldOutMetrics Measure(PairMoments rows, ReadOnlySpan<double> a, ReadOnlySpan<double> b)
    {
        using var scope = NewDisposeScope();
        return Measure(rows, CentredMoments.Matrix(a, rows.TargetWidth), CentredMoments.Matrix(b, rows.TargetWidth).flatten());
    }

    internal static HeldOutMetrics Measure(PairMoments rows, Tensor map, Tensor bias)
    {
        // About these rows' own mean of x and what the map makes of it, residuals are small differences of small numbers.
        var originX = tensor(rows.OriginX).to(ScalarType.Float64);
        var originY = tensor(rows.OriginY).to(ScalarType.Float64);
        var meanX = CentredMoments.Vector(rows.SumX).div_(Number.Of(rows.Rows));
        var mapped = map.mv(meanX.add(originX, Number.One)).add_(bias, Number.One).sub_(originY); // [dt], about the origin
        var (xx, xy, yy) = CentredMoments.About(rows, meanX, mapped);
        var residuals = CentredMoments.Copy(
            yy.diagonal().sub(map.mul(xy.t()).sum(1).mul_(Number.Of(2))).add_(map.matmul(xx).mul_(map).sum(1), Number.One).clamp_min_(Number.Of(0))); // [dt]
        var variances = CentredMoments.Copy(CentredMoments.TargetsOf(rows).diagonal().clamp_min(Number.Of(0))); // [dt]

        // Σy² from the moments about the origin: Σ(y − o)² + 2·o·Σ(y − o) + n·o².
        var total = variances.Zip(rows.SumY, rows.OriginY)
            .Sum(v => v.First + (rows.Rows * Math.Pow((v.Second / rows.Rows) + v.Third, 2)));
        var largest = Enumerable.Range(0, variances.Length).OrderByDescending(i => variances[i])
            .Take(variances.Length == 1 ? 0 : Math.Max(1, variances.Length / 100)).ToArray();
        var others = Enumerable.Range(0, variances.Length).Except(largest).ToArray();
        return new HeldOutMetrics(
            rows.Rows,
            Explained(residuals.Sum(), variances.Sum()),
            [.. residuals.Zip(variances, Explained)],
            Explained(others.Sum(i => residuals[i]), others.Sum(i => variances[i])),
            largest,
            total > 0 ? Math.Sqrt(residuals.Sum() / total) : 0,
            residuals.Sum() / rows.Rows / variances.Length);
    }

    private static double Explained(double residual, double variance) => variance > 0 ? 1 - (residual / variance) : 0;
}

using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Centred moments in the eigenbasis of the source's covariance, from which the map of every λ follows by scaling. Its
/// tensors are float64 and belong to the dispose scope open when it is made.
/// </summary>
internal sealed class Spectrum
{
    private readonly Tensor _basis; // V: [ds, ds], a column an eigenvector
    private readonly Tensor _cross; // C = Σyxᵀ·V: [dt, ds]
    private readonly Tensor _values; // [ds], 0 where nothing is known of a direction
    private readonly double _meanVariance; // times n

    /// <summary>Decomposes Σxx of a fit.</summary>
    /// <param name="moments">Gives Σxx and the means.</param>
    /// <param name="cross">Σxyᵀ about the means, [ds, dt], of as many rows.</param>
    /// <param name="meanY">[dt], about the origin.</param>
    public Spectrum(PairMoments moments, Tensor cross, Tensor meanY)
    {
        MeanX = Vector(moments.SumX).div_(moments.Rows);
        MeanY = meanY;
        var xx = Centred(moments.Xx, MeanX, MeanX, moments.Rows); // [ds, ds]
        var scale = xx.diagonal().clamp_min(0); // [ds]

        // Products were summed in float32, so that Σxx[i, j] about the origin is known to about ε·√(Σxx[i, i]·Σxx[j, j]). A
        // dimension whose variance is below that is constant; an eigenvalue below what such errors amount to along its vector
        // is not told from 0: rows too few, or dimensions that depend on each other. Taken dimension by dimension, the bound
        // holds beside a dimension 10⁴ times as large as the others.
        var squares = Matrix(moments.Xx, moments.SourceWidth).diagonal(); // [ds]
        var varies = (scale > squares * (Math.Sqrt(MomentAccumulator.BlockRows) * FloatRounding)).to(ScalarType.Float64); // 1 or 0
        xx.mul_(outer(varies, varies));
        var (values, basis) = linalg.eigh(xx);
        _basis = basis;
        _cross = cross.t().mul(varies).matmul(basis);
        var noise = basis.square().t().mv(squares * varies).mul_(4 * Math.Sqrt(moments.SourceWidth) * FloatRounding);
        _values = where(values > noise, values, zeros_like(values));
        _meanVariance = scale.sum().item<double>() / moments.SourceWidth;
        Rank = (int)(_values > 0).sum().item<long>();
        ConstantDimensions = moments.SourceWidth - (int)varies.sum().item<double>();
    }

    /// <summary>Half a unit in the last place of a float32 just above 1.</summary>
    private const double FloatRounding = 1.0 / (1 << 24);

    public Tensor MeanX { get; } // [ds], about the origin

    public Tensor MeanY { get; } // [dt], about the origin

    public int Rank { get; }

    public int ConstantDimensions { get; }

    /// <summary>A = Σyxᵀ·(Σxx + λ·tr(Σxx)/d)⁻¹ over the directions that carry anything, [dt, ds].</summary>
    public Tensor Map(double lambda) => _cross.mul(Filter(lambda)).matmul(_basis.t());

    /// <summary>
    /// What λ leaves unexplained of other rows: a function from λ to Σ‖y − ȳ − A(x − x̄)‖², with this fit's means and map.
    /// </summary>
    public Func<double, double> Residual(PairMoments rows)
    {
        var (xx, xy, yy) = About(rows, MeanX, MeanY);
        var total = yy.trace().item<double>();

        // With A = C·F·Vᵀ and F = diag f: tr(A·Σxy) = f·diag(VᵀΣxy C), tr(A Σxx Aᵀ) = fᵀ(CᵀC ∘ VᵀΣxx V)f.
        var linear = _basis.t().matmul(xy).mul(_cross.t()).sum(1); // [ds]
        var square = _cross.t().matmul(_cross).mul_(_basis.t().matmul(xx).matmul(_basis)); // [ds, ds]
        return lambda =>
        {
            using var scope = NewDisposeScope();
            var f = Filter(lambda);
            return Math.Max(0, total - (2 * f.dot(linear).item<double>()) + f.dot(square.mv(f)).item<double>());
        };
    }

    /// <summary>Σ(x − c)(x − c)ᵀ, Σ(x − c)(y − d)ᵀ and Σ(y − d)(y − d)ᵀ for given c and d, about the origin.</summary>
    public static (Tensor Xx, Tensor Xy, Tensor Yy) About(PairMoments rows, Tensor c, Tensor d)
    {
        var (sumX, sumY) = (Vector(rows.SumX), Vector(rows.SumY));
        return (
            Moved(rows.Xx, sumX, sumX, c, c, rows.Rows),
            Moved(rows.Xy, sumX, sumY, c, d, rows.Rows),
            Moved(rows.Yy, sumY, sumY, d, d, rows.Rows));
    }

    /// <summary>Σuvᵀ − n·ūv̄ᵀ.</summary>
    public static Tensor Centred(double[] products, Tensor meanU, Tensor meanV, long rows) =>
        Matrix(products, meanU.shape[0]).sub_(outer(meanU, meanV).mul_(rows));

    public static Tensor Vector(double[] values) => tensor(values);

    private static Tensor Matrix(double[] values, long rows)
    {
        var matrix = empty(rows, values.LongLength / rows, dtype: ScalarType.Float64);
        values.AsSpan().CopyTo(MemoryMarshal.Cast<byte, double>(matrix.bytes));
        return matrix;
    }

    private static Tensor Moved(double[] products, Tensor sumU, Tensor sumV, Tensor c, Tensor d, long rows) =>
        Matrix(products, sumU.shape[0]).sub_(outer(c, sumV)).sub_(outer(sumU, d)).add_(outer(c, d).mul_(rows));

    private Tensor Filter(double lambda)
    {
        // 1 / (e + λ·mean variance), and 0 along directions that carry nothing, where λ = 0 would divide by 0.
        var penalized = _values + (lambda * _meanVariance);
        return where(_values > 0, penalized.reciprocal(), zeros_like(penalized));
    }
}

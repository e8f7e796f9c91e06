using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Centred moments in the eigenbasis of the source's covariance, from which the map of every λ follows by scaling. Its
/// tensors are float64 and belong to the dispose scope open when it is made.
/// </summary>
internal sealed class Spectrum
{
    private readonly CentredMoments _moments;
    private readonly SourceCovariance _covariance;
    private readonly Tensor _basis; // W = D⁻¹V: [ds, ds], a column an eigenvector in the units of the rows
    private readonly Tensor _cross; // C = Σyx·W: [dt, ds]
    private readonly Tensor _values; // [ds], 0 where nothing is known of a direction

    /// <summary>Decomposes Σxx of a fit.</summary>
    /// <param name="moments">The fit's.</param>
    /// <param name="standardize">Penalize dimensions as if each had variance 1.</param>
    public Spectrum(CentredMoments moments, bool standardize)
    {
        _moments = moments;
        _covariance = new SourceCovariance(moments, standardize);
        var (values, basis) = linalg.eigh(_covariance.Matrix);
        _cross = _covariance.Cross(moments).matmul(basis);
        _basis = basis.div(_covariance.Scale.unsqueeze(1));
        _values = where(values > _covariance.Noise(basis), values, zeros_like(values));
    }

    /// <summary>The map of a λ: A = Σyx·(Σxx + λ·s)⁻¹ over the directions that carry anything.</summary>
    public Solution Solve(double lambda) => new(
        _cross.mul(Filter(lambda)).matmul(_basis.t()), (int)_values.gt(Number.Of(0)).sum().item<long>(), _covariance.ConstantDimensions);

    /// <summary>
    /// What λ leaves unexplained of other rows: a function from λ to Σ‖y − ȳ − A(x − x̄)‖², with this fit's means and map.
    /// </summary>
    public Func<double, double> Residual(PairMoments rows)
    {
        var (xx, xy, yy) = CentredMoments.About(rows, _moments.MeanX, _moments.MeanY);
        var total = yy.trace().item<double>();

        // With A = C·F·Wᵀ and F = diag f: tr(A·Σxy) = f·diag(WᵀΣxy C), tr(A Σxx Aᵀ) = fᵀ(CᵀC ∘ WᵀΣxx W)f.
        var linear = _basis.t().matmul(xy).mul(_cross.t()).sum(1); // [ds]
        var square = _cross.t().matmul(_cross).mul_(_basis.t().matmul(xx).matmul(_basis)); // [ds, ds]
        return lambda =>
        {
            using var scope = NewDisposeScope();
            var f = Filter(lambda);
            return Math.Max(0, total - (2 * f.dot(linear).item<double>()) + f.dot(square.mv(f)).item<double>());
        };
    }

    private Tensor Filter(double lambda)
    {
        // 1 / (e + λ·mean variance), and 0 along directions that carry nothing, where λ = 0 would divide by 0.
        var penalized = _values.add(Number.Of(lambda * _covariance.MeanVariance), Number.One);
        return where(_values.gt(Number.Of(0)), penalized.reciprocal(), zeros_like(penalized));
    }
}

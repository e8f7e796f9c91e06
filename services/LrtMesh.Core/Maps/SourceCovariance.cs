using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Σxx in units in which it can be decomposed: as it is, or with each dimension divided by its scale, so that one of 10⁴
/// beside one of 10⁻² loses no digits. Also what of it is known at all.
/// </summary>
/// <remarks>
/// Products were summed in float32, so that Σxx[i, j] about the origin is known to about ε·√(Σxx[i, i]·Σxx[j, j]). A
/// dimension whose variance is below that is constant; an eigenvalue below what such errors amount to along its vector
/// is not told from 0: rows too few, or dimensions that depend on each other. Taken dimension by dimension, the bound
/// holds beside a dimension 10⁴ times as large as the others. Of the bound, 4·√d is what errors of single elements make
/// together, and 2·√(rows of a block) what they are where a narrow product is summed row after row.
/// </remarks>
internal sealed class SourceCovariance
{
    /// <summary>Half a unit in the last place of a float32 just above 1.</summary>
    private const double FloatRounding = 1.0 / (1 << 24);

    private const double DoubleRounding = 1.0 / (1L << 52);

    private readonly Tensor _rounding; // [ds], Σx² about the origin in units of Matrix

    public SourceCovariance(CentredMoments moments, bool standardize)
    {
        var variances = moments.Xx.diagonal().clamp_min(Number.Of(0)); // [ds], times n
        MeanVariance = standardize ? 1 : variances.mean().item<double>();
        Varies = variances.gt(moments.SquaresX.mul(Number.Of(Math.Sqrt(JointMoments.ChainRows) * FloatRounding))).to(ScalarType.Float64);
        Scale = standardize ? where(Varies.gt(Number.Of(0)), variances, ones_like(variances)).sqrt() : ones_like(variances);
        Matrix = moments.Xx.div(Scale.unsqueeze(1)).div_(Scale).mul_(outer(Varies, Varies));
        _rounding = moments.SquaresX.mul(Varies).div_(Scale).div_(Scale).mul_(Number.Of(((4 * Math.Sqrt(Width)) + (2 * Math.Sqrt(JointMoments.ChainRows))) * FloatRounding));
        ConstantDimensions = Width - (int)Varies.sum().item<double>();
    }

    /// <summary>ds.</summary>
    public int Width => (int)Scale.shape[0];

    /// <summary>Σxx divided by the scales, 0 where a dimension is constant, [ds, ds].</summary>
    public Tensor Matrix { get; }

    /// <summary>[ds]: √Σ(x − x̄)² of each dimension where standardized, 1 otherwise and for constant ones.</summary>
    public Tensor Scale { get; }

    /// <summary>[ds]: 1, or 0 where a dimension is constant.</summary>
    public Tensor Varies { get; }

    /// <summary>Mean of Σ(x − x̄)² over the dimensions, in units of <see cref="Matrix"/>.</summary>
    public double MeanVariance { get; }

    /// <summary>Dimensions that never vary.</summary>
    public int ConstantDimensions { get; }

    /// <summary>More than rounding can make of any eigenvalue.</summary>
    public double MostNoise => _rounding.max().item<double>();

    /// <summary>What rounding can make of the eigenvalue of each column of a basis, [columns]: of products, and of the decomposition in float64.</summary>
    public Tensor Noise(Tensor basis) => basis.mul(basis).t().mv(_rounding).add_(Number.Of(DoubleRounding * Matrix.trace().item<double>()), Number.One);

    /// <summary>Σyx divided by the scales, 0 where a dimension is constant, [dt, ds].</summary>
    public Tensor Cross(CentredMoments moments) => moments.Xy.t().mul(Varies).div_(Scale);
}

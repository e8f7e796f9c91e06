using System.Numerics.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace LrtMesh.Core.Models.Steps;

/// <summary>A norm of one row, as <see cref="NormKind"/> says: RMS where there is no bias, otherwise a layer norm.</summary>
internal sealed class RowNorm(float[] weight, float[]? bias)
{
    /// <summary>A norm with torch's weights, which are copied; null for null.</summary>
    public static RowNorm? Of(Tensor? weight, Tensor? bias = null) => weight is null ? null : new(RowProduct.Copy(weight)!, RowProduct.Copy(bias));

    /// <summary>y = norm(x); they may be the same.</summary>
    /// <param name="x">As wide as the weights.</param>
    /// <param name="y">As wide as the weights.</param>
    /// <param name="epsilon">Added to the mean square or the variance.</param>
    public void Apply(ReadOnlySpan<float> x, Span<float> y, double epsilon)
    {
        if (bias is null)
        {
            TensorPrimitives.Multiply(x, Inverse(TensorPrimitives.SumOfSquares(x), x.Length, epsilon), y);
            TensorPrimitives.Multiply(y, weight, y);
            return;
        }

        TensorPrimitives.Subtract(x, TensorPrimitives.Sum(x) / x.Length, y);
        TensorPrimitives.Multiply(y, Inverse(TensorPrimitives.SumOfSquares<float>(y), y.Length, epsilon), y);
        TensorPrimitives.MultiplyAdd(y, weight, bias, y);
    }

    private static float Inverse(float squares, int width, double epsilon) => (float)(1 / Math.Sqrt((squares / width) + epsilon));
}

using System.Numerics.Tensors;
using System.Runtime.Intrinsics;

namespace LrtMesh.Core.Models.Steps;

/// <summary>The MLP's activation over a row.</summary>
internal static class MlpActivation
{
    private const float TanhOfRoot = 0.7978845608f; // √(2/π)
    private const float CubeShare = 0.044715f;
    private const float QuickSlope = 1.702f;
    private const float HalfRoot = 0.70710678119f; // 1/√2

    // erfc(x) = t·exp(−x² + P(t)), t = 1/(1 + x/2), for x ≥ 0; within 1.2e-7 of it (Press et al., Numerical Recipes, section 6.2). Highest power first.
    private static readonly float[] ErrorFunction =
    [
        0.17087277f, -0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f, 0.09678418f, 0.37409196f, 1.00002368f, -1.26551223f,
    ];

    /// <summary>y = activation(x); x and y do not overlap.</summary>
    public static void Apply(Activation activation, ReadOnlySpan<float> x, Span<float> y)
    {
        switch (activation)
        {
            case Activation.Silu:
                TensorPrimitives.Sigmoid(x, y);
                TensorPrimitives.Multiply(y, x, y);
                break;
            case Activation.QuickGelu:
                TensorPrimitives.Multiply(x, QuickSlope, y);
                TensorPrimitives.Sigmoid(y, y);
                TensorPrimitives.Multiply(y, x, y);
                break;
            case Activation.Gelu:
                TensorPrimitives.Multiply(x, HalfRoot, y);
                Erf(y);
                HalfOfOnePlus(x, y);
                break;
            case Activation.GeluTanh:
                TensorPrimitives.Multiply(x, x, y);
                TensorPrimitives.Multiply(y, CubeShare, y);
                TensorPrimitives.Add(y, 1, y);
                TensorPrimitives.Multiply(y, x, y);
                TensorPrimitives.Multiply(y, TanhOfRoot, y);
                TensorPrimitives.Tanh(y, y);
                HalfOfOnePlus(x, y);
                break;
            case Activation.Relu:
                TensorPrimitives.Max(x, 0, y);
                break;
            case Activation.ReluSquared:
                TensorPrimitives.Max(x, 0, y);
                TensorPrimitives.Multiply(y, y, y);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(activation), activation, "unknown");
        }
    }

    /// <summary>y = x·(1 + y)/2.</summary>
    private static void HalfOfOnePlus(ReadOnlySpan<float> x, Span<float> y)
    {
        TensorPrimitives.Add(y, 1, y);
        TensorPrimitives.Multiply(y, x, y);
        TensorPrimitives.Multiply(y, 0.5f, y);
    }

    private static void Erf(Span<float> values)
    {
        Span<float> last = stackalloc float[Vector512<float>.Count];
        var i = 0;
        for (; i + Vector512<float>.Count <= values.Length; i += Vector512<float>.Count)
        {
            Erf(Vector512.Create<float>(values[i..])).CopyTo(values[i..]);
        }

        values[i..].CopyTo(last);
        Erf(Vector512.Create<float>(last)).CopyTo(last);
        last[..(values.Length - i)].CopyTo(values[i..]);
    }

    private static Vector512<float> Erf(Vector512<float> x)
    {
        var size = Vector512.Abs(x);
        var t = Vector512<float>.One / Vector512.FusedMultiplyAdd(size, Vector512.Create(0.5f), Vector512<float>.One);
        var sum = Vector512<float>.Zero;
        foreach (var coefficient in ErrorFunction)
        {
            sum = Vector512.FusedMultiplyAdd(sum, t, Vector512.Create(coefficient));
        }

        var beyond = t * Vector512.Exp(sum - (size * size)); // erfc(|x|)
        return Vector512.CopySign(Vector512<float>.One - beyond, x);
    }
}

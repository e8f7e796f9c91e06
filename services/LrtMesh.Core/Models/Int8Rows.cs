using System.Numerics.Tensors;
using LrtMesh.Core.Tensors;

namespace LrtMesh.Core.Models;

/// <summary>
/// Rows of a matrix in 8 bits: w ≈ q·s with s = max|w| / 127 of its row and q the nearest of −127 to 127, so that an element is off by s/2 at
/// most (symmetric quantization per output channel, <see href="https://arxiv.org/abs/2004.09602">Wu et al. 2020</see>).
/// </summary>
/// <remarks>
/// Computed here and not by torch, whose intermediate tensors would leave holes in the heap between weights that stay: with them a load took
/// twice the weights' memory.
/// </remarks>
internal static class Int8Rows
{
    private const float Largest = 127;

    /// <summary>The scale of a row whose largest magnitude is given, as a bfloat16: s is rounded before q is found, so that this costs no accuracy.</summary>
    public static ushort Scale(float largest) => ElementConversion.ToBFloat16(largest > 0 ? largest / Largest : 1);

    /// <summary>Quantizes elements that share a scale.</summary>
    /// <param name="row">Overwritten.</param>
    /// <param name="scale">Of <see cref="Scale"/>.</param>
    /// <param name="quantized">Takes q.</param>
    public static void Quantize(Span<float> row, ushort scale, Span<sbyte> quantized)
    {
        TensorPrimitives.Divide(row, ElementConversion.FromBFloat16(scale), row);
        Round(row, quantized);
    }

    /// <summary>Quantizes elements with a scale each.</summary>
    /// <param name="column">Overwritten.</param>
    /// <param name="scales">As many, as floats.</param>
    /// <param name="quantized">Takes q.</param>
    public static void Quantize(Span<float> column, ReadOnlySpan<float> scales, Span<sbyte> quantized)
    {
        TensorPrimitives.Divide(column, scales, column);
        Round(column, quantized);
    }

    private static void Round(Span<float> values, Span<sbyte> quantized)
    {
        TensorPrimitives.Round(values, values); // halves to even
        TensorPrimitives.Clamp(values, -Largest, Largest, values); // a scale that was rounded down makes more than 127 of the largest
        TensorPrimitives.ConvertTruncating<float, sbyte>(values, quantized);
    }
}

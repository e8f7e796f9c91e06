using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

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

    /// <summary>Reads a matrix of a checkpoint and quantizes its rows.</summary>
    /// <param name="source">The checkpoint.</param>
    /// <param name="name">Its name there.</param>
    /// <param name="quantized">Takes q, [rows, columns], int8.</param>
    /// <param name="scales">Takes s, [rows], bfloat16.</param>
    public static void Read(TensorSource source, string name, Tensor quantized, Tensor scales)
    {
        var columns = (int)quantized.size(1);
        source.ReadRows(name, quantized.shape, (first, elements) =>
        {
            using var some = quantized.narrow(0, first, elements.Length / columns); // a span over the whole could pass 2 GiB
            var target = MemoryMarshal.Cast<byte, sbyte>(some.bytes);
            var steps = MemoryMarshal.Cast<byte, ushort>(scales.bytes);
            for (var at = 0; at < elements.Length; at += columns)
            {
                var row = elements.Slice(at, columns);
                var scale = Scale(MathF.Abs(TensorPrimitives.MaxMagnitude<float>(row)));
                steps[first + (at / columns)] = scale;
                Quantize(row, scale, target.Slice(at, columns));
            }
        });
    }

    /// <summary>Reads a matrix that the checkpoint has as [columns, rows]; it is read twice, since a scale needs its whole row.</summary>
    /// <inheritdoc cref="Read"/>
    public static void ReadTurned(TensorSource source, string name, Tensor quantized, Tensor scales)
    {
        var (rows, columns) = ((int)quantized.size(0), (int)quantized.size(1));
        var largest = new float[rows];
        source.ReadRows(name, [columns, rows], (_, elements) =>
        {
            TensorPrimitives.Abs(elements, elements);
            for (var at = 0; at < elements.Length; at += rows)
            {
                TensorPrimitives.Max<float>(largest, elements.Slice(at, rows), largest);
            }
        });
        var rounded = Array.ConvertAll(largest, Scale);
        var steps = Array.ConvertAll(rounded, ElementConversion.FromBFloat16);
        var column = new sbyte[rows];
        source.ReadRows(name, [columns, rows], (first, elements) =>
        {
            var target = MemoryMarshal.Cast<byte, sbyte>(quantized.bytes);
            for (int at = 0, to = first; at < elements.Length; at += rows, to++)
            {
                Quantize(elements.Slice(at, rows), steps, column);
                for (var row = 0; row < rows; row++)
                {
                    target[(row * columns) + to] = column[row];
                }
            }
        });
        if (scales.device_type != TorchSharp.DeviceType.META) // a plan of a load has no values
        {
            rounded.CopyTo(MemoryMarshal.Cast<byte, ushort>(scales.bytes));
        }
    }

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

    // Elements with a scale each.
    private static void Quantize(Span<float> column, ReadOnlySpan<float> scales, Span<sbyte> quantized)
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

using System.Numerics.Tensors;
using LrtMesh.Core.Tensors;

namespace LrtMesh.Core.Models;

/// <summary>Which tokens of a sequence make which rows: one token each, or the mean over several.</summary>
/// <param name="Tokens">Positions in the order of the rows, rising within each row; at least one.</param>
/// <param name="Ends">Of each row, one past its last entry in <paramref name="Tokens"/>; null: each token is a row.</param>
public sealed record RowChoice(int[] Tokens, int[]? Ends = null)
{
    /// <summary>How many rows.</summary>
    public int Count => Ends?.Length ?? Tokens.Length;

    /// <summary>The positions that one row stands for, rising.</summary>
    public ReadOnlySpan<int> Of(int row) =>
        Ends is null ? Tokens.AsSpan(row, 1) : Tokens.AsSpan(row == 0 ? 0 : Ends[row - 1], Ends[row] - (row == 0 ? 0 : Ends[row - 1]));

    /// <summary>Writes the rows, little-endian, rounded to a type. Means are taken in float64.</summary>
    /// <param name="states">Of all tokens, [tokens, width].</param>
    /// <param name="width">Of a row.</param>
    /// <param name="dtype">The type to write.</param>
    /// <param name="into">[rows, width].</param>
    public void Write(ReadOnlySpan<float> states, int width, V1.Dtype dtype, Span<byte> into)
    {
        if (Ends is null && Tokens[^1] - Tokens[0] == Tokens.Length - 1)
        {
            ElementConversion.Write(states.Slice(Tokens[0] * width, Tokens.Length * width), dtype, into);
            return;
        }

        var stride = width * ElementConversion.SizeOf(dtype, "dtype");
        var sums = new double[width];
        var wide = new double[width];
        var mean = new float[width];
        for (var row = 0; row < Count; row++)
        {
            var tokens = Of(row);
            var target = into.Slice(row * stride, stride);
            if (tokens.Length == 1)
            {
                ElementConversion.Write(states.Slice(tokens[0] * width, width), dtype, target);
                continue;
            }

            Array.Clear(sums);
            foreach (var token in tokens)
            {
                TensorPrimitives.ConvertTruncating<float, double>(states.Slice(token * width, width), wide);
                TensorPrimitives.Add<double>(sums, wide, sums);
            }

            TensorPrimitives.Divide(sums, tokens.Length, sums);
            TensorPrimitives.ConvertTruncating<double, float>(sums, mean);
            ElementConversion.Write(mean, dtype, target);
        }
    }
}

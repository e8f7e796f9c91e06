using System.Numerics;
using System.Numerics.Tensors;

namespace LrtMesh.Core.Maps;

/// <summary>Arithmetic on sums of rows and of their products, in float64.</summary>
internal static class MomentSums
{
    /// <summary>How far each element of an old origin lies above a new one.</summary>
    public static double[] Shift(float[] from, float[] to) => [.. from.Zip(to, (old, now) => (double)old - now)];

    /// <summary>sums += sign · Σ(u + δ), given Σu and n.</summary>
    public static void AddShifted(double[] sums, double[] others, double[] delta, long rows, int sign)
    {
        for (var i = 0; i < sums.Length; i++)
        {
            sums[i] += sign * (others[i] + (rows * delta[i]));
        }
    }

    /// <summary>
    /// sums += sign · Σ(u + δ)(v + ε)ᵀ, given Σuvᵀ, Σu, Σv and n: what moving both origins makes of a product.
    /// </summary>
    public static void AddShifted(
        double[] sums, double[] products, double[] sumU, double[] sumV, double[] deltaU, double[] deltaV, long rows, int sign)
    {
        var width = sumV.Length;
        var unmoved = !deltaU.AsSpan().ContainsAnyExcept(0.0) && !deltaV.AsSpan().ContainsAnyExcept(0.0);
        for (var i = 0; i < sumU.Length; i++)
        {
            var row = products.AsSpan(i * width, width);
            var target = sums.AsSpan(i * width, width);
            if (unmoved)
            {
                TensorPrimitives.MultiplyAdd(row, sign, target, target);
                continue;
            }

            var alongU = sumU[i] + (rows * deltaU[i]);
            for (var j = 0; j < width; j++)
            {
                target[j] += sign * (row[j] + (deltaU[i] * sumV[j]) + (alongU * deltaV[j]));
            }
        }
    }

    /// <summary>sums += values, element by element.</summary>
    public static void Add(Span<double> sums, ReadOnlySpan<float> values)
    {
        var whole = values.Length - (values.Length % Vector<float>.Count);
        for (var i = 0; i < whole; i += Vector<float>.Count)
        {
            Vector.Widen(new Vector<float>(values[i..]), out var low, out var high);
            var first = sums[i..];
            var second = sums[(i + Vector<double>.Count)..];
            (new Vector<double>(first) + low).CopyTo(first);
            (new Vector<double>(second) + high).CopyTo(second);
        }

        for (var i = whole; i < values.Length; i++)
        {
            sums[i] += values[i];
        }
    }

    /// <summary>[rows, columns] as [columns, rows].</summary>
    public static double[] Transpose(double[] values, int rows, int columns)
    {
        const int Tile = 32; // both sides of a tile stay in the cache
        var transposed = new double[values.Length];
        for (var top = 0; top < rows; top += Tile)
        {
            for (var left = 0; left < columns; left += Tile)
            {
                for (var i = top; i < Math.Min(rows, top + Tile); i++)
                {
                    for (var j = left; j < Math.Min(columns, left + Tile); j++)
                    {
                        transposed[((long)j * rows) + i] = values[((long)i * columns) + j];
                    }
                }
            }
        }

        return transposed;
    }

    /// <summary>Copies the upper triangle of a square matrix into its lower one.</summary>
    public static void Mirror(double[] square, int width)
    {
        const int Tile = 32;
        for (var top = 0; top < width; top += Tile)
        {
            for (var left = top; left < width; left += Tile)
            {
                for (var i = top; i < Math.Min(width, top + Tile); i++)
                {
                    for (var j = Math.Max(left, i + 1); j < Math.Min(width, left + Tile); j++)
                    {
                        square[((long)j * width) + i] = square[((long)i * width) + j];
                    }
                }
            }
        }
    }
}

using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>n, Σx, Σy' and Σxy'ᵀ of rows that were paired with those of other documents, about the origins.</summary>
public sealed class CrossMoments
{
    internal CrossMoments(float[] originX, float[] originY)
    {
        (OriginX, OriginY) = (originX, originY);
        (SumX, SumY) = (new double[originX.Length], new double[originY.Length]);
        Xy = new double[originX.LongLength * originY.Length];
    }

    /// <summary>The provisional mean of x, [ds].</summary>
    public float[] OriginX { get; }

    /// <summary>The provisional mean of y, [dt].</summary>
    public float[] OriginY { get; }

    /// <summary>n: rows that found a partner in another document.</summary>
    public long Rows { get; internal set; }

    /// <summary>Σx of those rows about the origin, [ds].</summary>
    public double[] SumX { get; }

    /// <summary>Σy' about the origin, [dt].</summary>
    public double[] SumY { get; }

    /// <summary>Σxy'ᵀ about the origins, [ds, dt].</summary>
    public double[] Xy { get; }

    /// <summary>Source and target exchanged, for the control of the map back.</summary>
    internal CrossMoments Transposed()
    {
        var back = new CrossMoments(OriginY, OriginX) { Rows = Rows };
        SumX.CopyTo(back.SumY, 0);
        SumY.CopyTo(back.SumX, 0);
        MomentSums.Transpose(Xy, OriginX.Length, OriginY.Length).CopyTo(back.Xy, 0);
        return back;
    }

    /// <summary>Adds rows: products in float32, sums in float64.</summary>
    /// <param name="rows">[at least partners.Length, width], about the origins.</param>
    /// <param name="partners">For each row's x, the row whose y is its partner.</param>
    /// <param name="width">Width of a row.</param>
    /// <param name="startX">Column at which x starts.</param>
    /// <param name="startY">Column at which y starts.</param>
    internal void AddBlock(ReadOnlySpan<float> rows, ReadOnlySpan<int> partners, int width, int startX, int startY)
    {
        using var scope = NewDisposeScope();
        var x = empty(partners.Length, OriginX.Length, dtype: ScalarType.Float32);
        var y = empty(partners.Length, OriginY.Length, dtype: ScalarType.Float32);
        var xs = MemoryMarshal.Cast<byte, float>(x.bytes);
        var ys = MemoryMarshal.Cast<byte, float>(y.bytes);
        for (var row = 0; row < partners.Length; row++)
        {
            rows.Slice((row * width) + startX, OriginX.Length).CopyTo(xs[(row * OriginX.Length)..]);
            rows.Slice((partners[row] * width) + startY, OriginY.Length).CopyTo(ys[(row * OriginY.Length)..]);
        }

        for (var row = 0; row < partners.Length; row++)
        {
            MomentSums.Add(SumX, xs.Slice(row * OriginX.Length, OriginX.Length));
            MomentSums.Add(SumY, ys.Slice(row * OriginY.Length, OriginY.Length));
        }

        MomentSums.Add(Xy, MemoryMarshal.Cast<byte, float>(x.t().matmul(y).bytes));
        Rows += partners.Length;
    }

    /// <summary>Adds others, moved to this origin.</summary>
    internal void Add(CrossMoments other)
    {
        var (dx, dy) = (MomentSums.Shift(other.OriginX, OriginX), MomentSums.Shift(other.OriginY, OriginY));
        MomentSums.AddShifted(Xy, other.Xy, other.SumX, other.SumY, dx, dy, other.Rows, 1);
        MomentSums.AddShifted(SumX, other.SumX, dx, other.Rows, 1);
        MomentSums.AddShifted(SumY, other.SumY, dy, other.Rows, 1);
        Rows += other.Rows;
    }
}

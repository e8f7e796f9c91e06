using System.Numerics;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// What a map is computed from: n, Σx, Σy, Σxxᵀ, Σxyᵀ and Σyyᵀ of paired rows, each row taken about a provisional mean (the
/// origin), so that little is lost when the true mean is taken out. Moments about the same origin add and subtract.
/// </summary>
public sealed class PairMoments
{
    /// <summary>No rows yet.</summary>
    /// <param name="originX">[ds], subtracted from each x.</param>
    /// <param name="originY">[dt], subtracted from each y.</param>
    public PairMoments(float[] originX, float[] originY)
    {
        (OriginX, OriginY) = (originX, originY);
        (SumX, SumY) = (new double[originX.Length], new double[originY.Length]);
        Xx = new double[originX.LongLength * originX.Length];
        Xy = new double[originX.LongLength * originY.Length];
        Yy = new double[originY.LongLength * originY.Length];
    }

    /// <summary>The provisional mean of x, [ds].</summary>
    public float[] OriginX { get; }

    /// <summary>The provisional mean of y, [dt].</summary>
    public float[] OriginY { get; }

    /// <summary>n, the number of rows.</summary>
    public long Rows { get; private set; }

    /// <summary>Σx about the origin, [ds].</summary>
    public double[] SumX { get; }

    /// <summary>Σy about the origin, [dt].</summary>
    public double[] SumY { get; }

    /// <summary>Σxxᵀ about the origin, [ds, ds].</summary>
    public double[] Xx { get; }

    /// <summary>Σxyᵀ about the origin, [ds, dt].</summary>
    public double[] Xy { get; }

    /// <summary>Σyyᵀ about the origin, [dt, dt].</summary>
    public double[] Yy { get; }

    /// <summary>Width of the source.</summary>
    public int SourceWidth => OriginX.Length;

    /// <summary>Width of the target.</summary>
    public int TargetWidth => OriginY.Length;

    /// <summary>Adds a block of rows: products in float32, sums in float64.</summary>
    /// <param name="x">[rows, ds].</param>
    /// <param name="y">[rows, dt].</param>
    public void AddBlock(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        var rows = x.Length / SourceWidth;
        using var scope = NewDisposeScope();
        var xs = Rows32(x, rows, OriginX); // [rows, ds]
        var ys = Rows32(y, rows, OriginY); // [rows, dt]
        AddTo(SumX, xs.sum(0, type: ScalarType.Float64));
        AddTo(SumY, ys.sum(0, type: ScalarType.Float64));
        AddTo(Xx, xs.t().matmul(xs));
        AddTo(Xy, xs.t().matmul(ys));
        AddTo(Yy, ys.t().matmul(ys));
        Rows += rows;
    }

    /// <summary>Adds other moments, moved to this origin.</summary>
    public void Add(PairMoments other) => Combine(other, 1);

    /// <summary>Takes other moments away, moved to this origin; they must have been added before.</summary>
    public void Subtract(PairMoments other) => Combine(other, -1);

    /// <summary>A copy.</summary>
    public PairMoments Clone()
    {
        var copy = new PairMoments(OriginX, OriginY);
        copy.Combine(this, 1);
        return copy;
    }

    /// <summary>A block of rows about an origin, as a float32 tensor of the open dispose scope.</summary>
    internal static Tensor Rows32(ReadOnlySpan<float> values, int rows, float[] origin)
    {
        var tensor = empty(rows, origin.Length, dtype: ScalarType.Float32);
        MemoryMarshal.AsBytes(values).CopyTo(tensor.bytes);
        return tensor.sub_(torch.tensor(origin));
    }

    /// <summary>sums += product, for a contiguous tensor of float32 or float64.</summary>
    internal static void AddTo(double[] sums, Tensor product)
    {
        var contiguous = product.contiguous();
        if (contiguous.dtype == ScalarType.Float64)
        {
            var values = MemoryMarshal.Cast<byte, double>(contiguous.bytes);
            for (var i = 0; i < values.Length; i++)
            {
                sums[i] += values[i];
            }
        }
        else
        {
            var values = MemoryMarshal.Cast<byte, float>(contiguous.bytes);
            var whole = values.Length - (values.Length % Vector<float>.Count);
            for (var i = 0; i < whole; i += Vector<float>.Count)
            {
                Vector.Widen(new Vector<float>(values[i..]), out var low, out var high);
                (new Vector<double>(sums, i) + low).CopyTo(sums, i);
                (new Vector<double>(sums, i + Vector<double>.Count) + high).CopyTo(sums, i + Vector<double>.Count);
            }

            for (var i = whole; i < values.Length; i++)
            {
                sums[i] += values[i];
            }
        }
    }

    /// <summary>
    /// sums += sign · Σ(u + δ)(v + ε)ᵀ, given Σuvᵀ, Σu, Σv and n: what moving both origins makes of a product.
    /// </summary>
    internal static void AddShifted(
        double[] sums, double[] products, double[] sumU, double[] sumV, double[] deltaU, double[] deltaV, long rows, int sign)
    {
        var width = sumV.Length;
        for (var i = 0; i < sumU.Length; i++)
        {
            var alongU = sumU[i] + (rows * deltaU[i]);
            var row = products.AsSpan(i * width, width);
            var target = sums.AsSpan(i * width, width);
            for (var j = 0; j < width; j++)
            {
                target[j] += sign * (row[j] + (deltaU[i] * sumV[j]) + (alongU * deltaV[j]));
            }
        }
    }

    /// <summary>How far each element of an old origin lies above a new one.</summary>
    internal static double[] Shift(float[] from, float[] to) => [.. from.Zip(to, (old, now) => (double)old - now)];

    private void Combine(PairMoments other, int sign)
    {
        if (other.SourceWidth != SourceWidth || other.TargetWidth != TargetWidth)
        {
            throw new ArgumentException($"moments of widths {other.SourceWidth} and {other.TargetWidth} do not add to {SourceWidth} and {TargetWidth}");
        }

        var dx = Shift(other.OriginX, OriginX);
        var dy = Shift(other.OriginY, OriginY);
        AddShifted(Xx, other.Xx, other.SumX, other.SumX, dx, dx, other.Rows, sign);
        AddShifted(Xy, other.Xy, other.SumX, other.SumY, dx, dy, other.Rows, sign);
        AddShifted(Yy, other.Yy, other.SumY, other.SumY, dy, dy, other.Rows, sign);
        AddSums(SumX, other.SumX, dx, other.Rows, sign);
        AddSums(SumY, other.SumY, dy, other.Rows, sign);
        Rows += sign * other.Rows;
    }

    /// <summary>sums += sign · Σ(u + δ).</summary>
    internal static void AddSums(double[] sums, double[] others, double[] delta, long rows, int sign)
    {
        for (var i = 0; i < sums.Length; i++)
        {
            sums[i] += sign * (others[i] + (rows * delta[i]));
        }
    }
}

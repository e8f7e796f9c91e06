namespace LrtMesh.Core.Maps;

/// <summary>
/// What a map is computed from: n, Σx, Σy, Σxxᵀ, Σxyᵀ and Σyyᵀ of paired rows, each row taken about a provisional mean (the
/// origin), so that little is lost when the true mean is taken out. Moments about the same origin add and subtract.
/// </summary>
public sealed class PairMoments
{
    internal PairMoments(
        float[] originX, float[] originY, long rows, double[] sumX, double[] sumY, double[] xx, double[] xy, double[] yy) =>
        (OriginX, OriginY, Rows, SumX, SumY, Xx, Xy, Yy) = (originX, originY, rows, sumX, sumY, xx, xy, yy);

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

    /// <summary>Σxxᵀ about the origin, [ds, ds], symmetric.</summary>
    public double[] Xx { get; }

    /// <summary>Σxyᵀ about the origin, [ds, dt].</summary>
    public double[] Xy { get; }

    /// <summary>Σyyᵀ about the origin, [dt, dt], symmetric.</summary>
    public double[] Yy { get; }

    /// <summary>Width of the source.</summary>
    public int SourceWidth => OriginX.Length;

    /// <summary>Width of the target.</summary>
    public int TargetWidth => OriginY.Length;

    /// <summary>Adds other moments, moved to this origin.</summary>
    public void Add(PairMoments other) => Combine(other, 1);

    /// <summary>Takes other moments away, moved to this origin; they must have been added before.</summary>
    public void Subtract(PairMoments other) => Combine(other, -1);

    /// <summary>A copy.</summary>
    public PairMoments Clone() => new(
        OriginX, OriginY, Rows, [.. SumX], [.. SumY], [.. Xx], [.. Xy], [.. Yy]);

    /// <summary>The same rows with source and target exchanged, for the map back; only Σyxᵀ is a copy, the rest is shared.</summary>
    public PairMoments Transposed() => new(
        OriginY, OriginX, Rows, SumY, SumX, Yy, MomentSums.Transpose(Xy, SourceWidth, TargetWidth), Xx);

    private void Combine(PairMoments other, int sign)
    {
        if (other.SourceWidth != SourceWidth || other.TargetWidth != TargetWidth)
        {
            throw new ArgumentException($"moments of widths {other.SourceWidth} and {other.TargetWidth} do not add to {SourceWidth} and {TargetWidth}");
        }

        var dx = MomentSums.Shift(other.OriginX, OriginX);
        var dy = MomentSums.Shift(other.OriginY, OriginY);
        MomentSums.AddShifted(Xx, other.Xx, other.SumX, other.SumX, dx, dx, other.Rows, sign);
        MomentSums.AddShifted(Xy, other.Xy, other.SumX, other.SumY, dx, dy, other.Rows, sign);
        MomentSums.AddShifted(Yy, other.Yy, other.SumY, other.SumY, dy, dy, other.Rows, sign);
        MomentSums.AddShifted(SumX, other.SumX, dx, other.Rows, sign);
        MomentSums.AddShifted(SumY, other.SumY, dy, other.Rows, sign);
        Rows += sign * other.Rows;
    }
}

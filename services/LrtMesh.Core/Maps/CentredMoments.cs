using System.Runtime.InteropServices;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>Moments about the means as float64 tensors, which belong to the dispose scope open when they are made.</summary>
/// <param name="Rows">n.</param>
/// <param name="MeanX">[ds], about the origin.</param>
/// <param name="MeanY">[dt], about the origin.</param>
/// <param name="Xx">Σ(x − x̄)(x − x̄)ᵀ, [ds, ds].</param>
/// <param name="Xy">Σ(x − x̄)(y − ȳ)ᵀ, [ds, dt].</param>
/// <param name="SquaresX">Σx² of each dimension about the origin, [ds]: what the rounding of <paramref name="Xx"/> is in proportion to.</param>
internal sealed record CentredMoments(long Rows, Tensor MeanX, Tensor MeanY, Tensor Xx, Tensor Xy, Tensor SquaresX)
{
    /// <summary>Centres the rows of a fit.</summary>
    public static CentredMoments Of(PairMoments moments)
    {
        var meanX = Vector(moments.SumX).div_(Number.Of(moments.Rows));
        var meanY = Vector(moments.SumY).div_(Number.Of(moments.Rows));
        var squares = Matrix(moments.Xx, moments.SourceWidth).diagonal().clone(); // [ds]
        return new CentredMoments(
            moments.Rows,
            meanX,
            meanY,
            Centred(moments.Xx, meanX, meanX, moments.Rows),
            Centred(moments.Xy, meanX, meanY, moments.Rows),
            squares);
    }

    /// <summary>The same source rows with the targets of a control.</summary>
    public CentredMoments With(CrossMoments control)
    {
        var meanX = Vector(control.SumX).div_(Number.Of(control.Rows));
        var meanY = Vector(control.SumY).div_(Number.Of(control.Rows));
        var cross = Centred(control.Xy, meanX, meanY, control.Rows);
        return this with { MeanY = meanY, Xy = cross.mul_(Number.Of((double)Rows / control.Rows)) }; // rows without a partner count as the others on average
    }

    /// <summary>Σ(y − ȳ)(y − ȳ)ᵀ, [dt, dt].</summary>
    public static Tensor TargetsOf(PairMoments moments)
    {
        var mean = Vector(moments.SumY).div_(Number.Of(moments.Rows));
        return Centred(moments.Yy, mean, mean, moments.Rows);
    }

    /// <summary>Σ(x − c)(x − c)ᵀ, Σ(x − c)(y − d)ᵀ and Σ(y − d)(y − d)ᵀ for given c and d, about the origin.</summary>
    public static (Tensor Xx, Tensor Xy, Tensor Yy) About(PairMoments rows, Tensor c, Tensor d)
    {
        var (sumX, sumY) = (Vector(rows.SumX), Vector(rows.SumY));
        return (
            Moved(rows.Xx, sumX, sumX, c, c, rows.Rows),
            Moved(rows.Xy, sumX, sumY, c, d, rows.Rows),
            Moved(rows.Yy, sumY, sumY, d, d, rows.Rows));
    }

    /// <summary>Elements as a float64 tensor.</summary>
    public static Tensor Vector(double[] values) => tensor(values);

    /// <summary>Elements as a float64 tensor of so many rows.</summary>
    public static Tensor Matrix(ReadOnlySpan<double> values, long rows)
    {
        var matrix = empty(rows, values.Length / rows, dtype: ScalarType.Float64);
        values.CopyTo(MemoryMarshal.Cast<byte, double>(matrix.bytes));
        return matrix;
    }

    /// <summary>A float64 tensor's elements, row by row.</summary>
    public static double[] Copy(Tensor values) => MemoryMarshal.Cast<byte, double>(values.contiguous().bytes).ToArray();

    /// <summary>Σuvᵀ − n·ūv̄ᵀ.</summary>
    private static Tensor Centred(double[] products, Tensor meanU, Tensor meanV, long rows) =>
        Matrix(products, meanU.shape[0]).sub_(outer(meanU, meanV).mul_(Number.Of(rows)));

    private static Tensor Moved(double[] products, Tensor sumU, Tensor sumV, Tensor c, Tensor d, long rows) =>
        Matrix(products, sumU.shape[0]).sub_(outer(c, sumV)).sub_(outer(sumU, d)).add_(outer(c, d).mul_(Number.Of(rows)), Number.One);
}

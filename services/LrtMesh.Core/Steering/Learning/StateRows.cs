using System.Numerics.Tensors;

namespace LrtMesh.Core.Steering.Learning;

/// <summary>Rows in float64, and the two products of their matrix X.</summary>
/// <param name="Rows">[rows, width].</param>
internal sealed record StateRows(double[][] Rows)
{
    public int Count => Rows.Length;

    public int Width => Rows[0].Length;

    /// <summary>X·v, [rows].</summary>
    public double[] Times(double[] vector) => Array.ConvertAll(Rows, row => TensorPrimitives.Dot<double>(row, vector));

    /// <summary>Xᵀ·w, [width].</summary>
    public double[] TransposedTimes(double[] weights)
    {
        var sums = new double[Width];
        for (var row = 0; row < Count; row++)
        {
            TensorPrimitives.MultiplyAdd<double>(Rows[row], weights[row], sums, sums);
        }

        return sums;
    }
}

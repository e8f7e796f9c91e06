using LrtMesh.Core.Maps;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Maps;

/// <summary>Rows as float64 tensors, from which tests compute what moments should give.</summary>
internal static class RowTensors
{
    /// <summary>[rows, d].</summary>
    public static Tensor Of(float[][] rows) =>
        tensor(PairedRows.Flat(rows), rows.Length, rows[0].Length).to(ScalarType.Float64);

    /// <summary>Rows less their mean.</summary>
    public static Tensor Centred(float[][] rows)
    {
        var all = Of(rows);
        return all - all.mean([0L]);
    }

    /// <summary>[rows, columns] of row-major elements.</summary>
    public static Tensor Matrix(double[] values, long rows) => tensor(values, rows, values.Length / rows);

    /// <summary>Largest difference, as a share of the largest element expected.</summary>
    public static double Difference(Tensor expected, Tensor actual) =>
        ((expected - actual).abs().max() / expected.abs().max()).item<double>();

    /// <summary>Pairs whose target is made from the source by a function.</summary>
    public static PairedRows Made(int seed, int documents, int rowsPerDocument, int sourceWidth, int targetWidth, Func<Random, Tensor, Tensor> target, Func<Random, Tensor>? scales = null)
    {
        var random = new Random(seed);
        using var scope = NewDisposeScope();
        var x = Normals(random, documents * rowsPerDocument, sourceWidth);
        if (scales is not null)
        {
            x = x * scales(random);
        }

        x = x.to(ScalarType.Float32).to(ScalarType.Float64); // the target is made from what the rows hold
        var y = target(random, x);
        var rows = new PairedRows(sourceWidth, targetWidth);
        var (xs, ys) = (Rows(x), Rows(y));
        for (var i = 0; i < documents; i++)
        {
            rows.Documents.Add((xs[(i * rowsPerDocument)..((i + 1) * rowsPerDocument)], ys[(i * rowsPerDocument)..((i + 1) * rowsPerDocument)]));
        }

        return rows;
    }

    /// <summary>Standard normals, [rows, columns].</summary>
    public static Tensor Normals(Random random, int rows, int columns)
    {
        var values = new double[rows * columns];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        }

        return tensor(values, rows, columns);
    }

    /// <summary>Orthonormal columns, [rows, columns].</summary>
    public static Tensor Orthonormal(Random random, int rows, int columns) => linalg.qr(Normals(random, rows, columns)).Item1;

    public static float[][] Rows(Tensor values) =>
        [.. values.to(ScalarType.Float32).contiguous().data<float>().ToArray().Chunk((int)values.shape[1])];

    public static Tensor MapOf(MapFit fit) => Matrix(fit.A, fit.B.Length);
}

using LrtMesh.Core.Maps;

namespace LrtMesh.Core.Tests.Maps;

/// <summary>Paired rows in documents, and what moments and ridge should make of them, computed here in float64 from the rows.</summary>
internal sealed class PairedRows(int sourceWidth, int targetWidth)
{
    public int SourceWidth => sourceWidth;

    public int TargetWidth => targetWidth;

    /// <summary>Documents in order; document i belongs to fold i modulo the folds.</summary>
    public List<(float[][] X, float[][] Y)> Documents { get; } = [];

    /// <summary>Rows whose target is an affine function of the source plus noise.</summary>
    public static PairedRows Affine(
        int seed, int sourceWidth, int targetWidth, int documents, int rowsPerDocument, double noise, Action<float[]>? reshape = null)
    {
        var random = new Random(seed);
        var a = Enumerable.Range(0, targetWidth).Select(_ => Normals(random, sourceWidth)).ToArray();
        var b = Normals(random, targetWidth).Select(v => 5 * v).ToArray();
        var rows = new PairedRows(sourceWidth, targetWidth);
        for (var document = 0; document < documents; document++)
        {
            var length = 1 + random.Next(2 * rowsPerDocument);
            var x = new float[length][];
            var y = new float[length][];
            for (var row = 0; row < length; row++)
            {
                x[row] = [.. Normals(random, sourceWidth).Select((v, i) => (float)((v * (1 + (i % 3))) + (i % 5) - 2))];
                reshape?.Invoke(x[row]);
                y[row] = [.. a.Select((weights, j) => (float)(Dot(weights, x[row]) + b[j] + (noise * Normal(random))))];
            }

            rows.Documents.Add((x, y));
        }

        return rows;
    }

    /// <summary>Rows of independent standard normals on both sides.</summary>
    public static PairedRows Independent(int seed, int sourceWidth, int targetWidth, int documents, int rowsPerDocument)
    {
        var random = new Random(seed);
        var rows = new PairedRows(sourceWidth, targetWidth);
        for (var document = 0; document < documents; document++)
        {
            rows.Documents.Add((
                [.. Enumerable.Range(0, rowsPerDocument).Select(_ => Normals(random, sourceWidth).Select(v => (float)v).ToArray())],
                [.. Enumerable.Range(0, rowsPerDocument).Select(_ => Normals(random, targetWidth).Select(v => (float)v).ToArray())]));
        }

        return rows;
    }

    public MomentAccumulator Accumulate(int folds, bool shuffled = false)
    {
        var moments = new MomentAccumulator(sourceWidth, targetWidth, folds, shuffled);
        for (var i = 0; i < Documents.Count; i++)
        {
            moments.Add(i % folds, Flat(Documents[i].X), Flat(Documents[i].Y));
        }

        return moments;
    }

    /// <summary>The rows of the folds asked for.</summary>
    public (float[][] X, float[][] Y) Folds(int folds, Func<int, bool> which) => (
        [.. Documents.Where((_, i) => which(i % folds)).SelectMany(d => d.X)],
        [.. Documents.Where((_, i) => which(i % folds)).SelectMany(d => d.Y)]);

    public static float[] Flat(float[][] rows) => [.. rows.SelectMany(r => r)];

    /// <summary>A [dt][ds] and b [dt] by the normal equations (XᵀX + λ·tr/d)·Aᵀ = XᵀY of centred rows, by Gaussian elimination.</summary>
    public static (double[][] A, double[] B) ClosedForm(float[][] x, float[][] y, double lambda)
    {
        var (meanX, meanY) = (Mean(x), Mean(y));
        var ds = meanX.Length;
        var normal = Products(x, meanX, x, meanX);
        var right = Products(x, meanX, y, meanY); // [ds][dt]
        var penalty = lambda * Enumerable.Range(0, ds).Sum(i => normal[i][i]) / ds;
        for (var i = 0; i < ds; i++)
        {
            normal[i][i] += penalty;
        }

        for (var pivot = 0; pivot < ds; pivot++)
        {
            var best = Enumerable.Range(pivot, ds - pivot).MaxBy(r => Math.Abs(normal[r][pivot]));
            (normal[pivot], normal[best]) = (normal[best], normal[pivot]);
            (right[pivot], right[best]) = (right[best], right[pivot]);
            for (var row = 0; row < ds; row++)
            {
                if (row != pivot)
                {
                    var factor = normal[row][pivot] / normal[pivot][pivot];
                    normal[row] = [.. normal[row].Select((v, i) => v - (factor * normal[pivot][i]))];
                    right[row] = [.. right[row].Select((v, i) => v - (factor * right[pivot][i]))];
                }
            }
        }

        var a = Enumerable.Range(0, meanY.Length)
            .Select(j => Enumerable.Range(0, ds).Select(i => right[i][j] / normal[i][i]).ToArray()).ToArray();
        return (a, [.. a.Select((weights, j) => meanY[j] - weights.Zip(meanX, (w, m) => w * m).Sum())]);
    }

    /// <summary>Σ‖y − A·x − b‖².</summary>
    public static double Residual((double[][] A, double[] B) map, float[][] x, float[][] y) =>
        x.Zip(y, (xr, yr) => map.A.Select((weights, j) => Square(yr[j] - Dot(weights, xr) - map.B[j])).Sum()).Sum();

    /// <summary>Σ‖y − ȳ‖².</summary>
    public static double Variance(float[][] y)
    {
        var mean = Mean(y);
        return y.Sum(row => row.Zip(mean, (v, m) => Square(v - m)).Sum());
    }

    /// <summary>Σ(u − c)(v − d)ᵀ.</summary>
    public static double[][] Products(float[][] u, double[] c, float[][] v, double[] d)
    {
        var sums = c.Select(_ => new double[d.Length]).ToArray();
        for (var row = 0; row < u.Length; row++)
        {
            for (var i = 0; i < c.Length; i++)
            {
                for (var j = 0; j < d.Length; j++)
                {
                    sums[i][j] += (u[row][i] - c[i]) * (v[row][j] - d[j]);
                }
            }
        }

        return sums;
    }

    public static double[] Mean(float[][] rows) =>
        [.. Enumerable.Range(0, rows[0].Length).Select(i => rows.Average(row => (double)row[i]))];

    public static double Dot(IEnumerable<double> weights, IEnumerable<float> x) => weights.Zip(x, (w, v) => w * v).Sum();

    private static double Square(double value) => value * value;

    private static double[] Normals(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => Normal(random))];

    private static double Normal(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}

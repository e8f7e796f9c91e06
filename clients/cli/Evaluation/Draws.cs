namespace LrtMesh.Cli.Evaluation;

/// <summary>Random numbers that follow from a seed and from what they are for, so that a run can be repeated and arms are paired.</summary>
internal static class Draws
{
    /// <summary>A seed for one purpose: SplitMix64 (Steele, Lea and Flood 2014) over the run's seed and the keys in turn.</summary>
    public static ulong Seed(ulong seed, params ReadOnlySpan<int> keys)
    {
        ulong state = Mix(seed);
        foreach (int key in keys)
        {
            state = Mix(state ^ (uint)key);
        }

        return state;
    }

    /// <summary>A direction of length 1, every one as likely as any other: [width].</summary>
    public static float[] Direction(int width, ulong seed)
    {
        var random = new Random((int)(seed & int.MaxValue));
        double[] gaussian = new double[width];
        for (int i = 0; i < width; i++)
        {
            gaussian[i] = Gaussian(random);
        }

        return Normalized(gaussian);
    }

    /// <summary>
    /// A direction of length 1, of a draw from N(0, Σ) with Σ the covariance of some rows: a sum of the rows about their mean, each times a
    /// Gaussian number, has just that covariance (times the number of rows).
    /// </summary>
    /// <param name="rows">Row-major [rows, width].</param>
    public static float[] DirectionLike(float[] rows, int width, ulong seed)
    {
        int count = rows.Length / width;
        double[] mean = new double[width];
        double[] sum = new double[width];
        for (int i = 0; i < rows.Length; i++)
        {
            mean[i % width] += (double)rows[i] / count;
        }

        var random = new Random((int)(seed & int.MaxValue));
        for (int row = 0; row < count; row++)
        {
            double weight = Gaussian(random);
            for (int i = 0; i < width; i++)
            {
                sum[i] += weight * (rows[(row * width) + i] - mean[i]);
            }
        }

        return Normalized(sum);
    }

    // Box and Muller 1958; 1 − u is never 0.
    private static double Gaussian(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    private static float[] Normalized(double[] vector)
    {
        double length = Math.Sqrt(vector.Sum(x => x * x));
        return [.. vector.Select(x => (float)(x / length))];
    }

    private static ulong Mix(ulong state)
    {
        state += 0x9E3779B97F4A7C15;
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB;
        return state ^ (state >> 31);
    }
}

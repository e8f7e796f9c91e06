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
            // Box and Muller 1958; 1 − u is never 0.
            gaussian[i] = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
        }

        double length = Math.Sqrt(gaussian.Sum(x => x * x));
        return [.. gaussian.Select(x => (float)(x / length))];
    }

    private static ulong Mix(ulong state)
    {
        state += 0x9E3779B97F4A7C15;
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9;
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB;
        return state ^ (state >> 31);
    }
}

namespace LrtMesh.Cli.Evaluation;

/// <summary>A number and the interval that holds it with 95% confidence.</summary>
internal sealed record Estimate(double Value, double Low, double High);

/// <summary>R, the share of the native effect that an arm keeps: 1 is all of it, 0 none; not clipped.</summary>
internal static class ShareKept
{
    private const int Resamples = 4000;
    private const double Tail = 0.025; // Of a two-sided interval of 95%.

    /// <summary>R of one behaviour: (arm − none) / (native − none), of mean outcomes; null where the native effect is 0.</summary>
    public static double? Of(PairedOutcomes behaviour)
    {
        double none = behaviour.None.Average();
        double effect = behaviour.Native.Average() - none;
        return effect == 0 ? null : (behaviour.Arm.Average() - none) / effect;
    }

    /// <summary>
    /// The pooled R over behaviours: Σ sᵢ·(armᵢ − noneᵢ) / Σ |nativeᵢ − noneᵢ|, where sᵢ is the sign of nativeᵢ − noneᵢ,
    /// so that a large effect weighs more than a small and noisy one. Null where the native effects are all 0.
    /// The interval is a percentile bootstrap, paired and hierarchical: behaviours are drawn with replacement, and within
    /// each its prompts, the same ones for all arms (Davison and Hinkley 1997, Bootstrap Methods and their Application, 3.8).
    /// </summary>
    /// <param name="behaviours">The steerable behaviours.</param>
    /// <param name="seed">Seed of the bootstrap.</param>
    public static Estimate? Pooled(IReadOnlyList<PairedOutcomes> behaviours, int seed)
    {
        if (PooledOf(behaviours.Select(b => (b.None.Average(), b.Native.Average(), b.Arm.Average()))) is not { } value)
        {
            return null;
        }

        var random = new Random(seed);
        var values = new List<double>(Resamples);
        for (int resample = 0; resample < Resamples; resample++)
        {
            var drawn = Enumerable.Range(0, behaviours.Count).Select(_ => DrawMeans(behaviours[random.Next(behaviours.Count)], random));
            if (PooledOf(drawn) is { } drawnValue)
            {
                values.Add(drawnValue);
            }
        }

        values.Sort();
        return new Estimate(value, Quantile(values, Tail), Quantile(values, 1 - Tail));
    }

    private static double? PooledOf(IEnumerable<(double None, double Native, double Arm)> means)
    {
        double kept = 0;
        double effects = 0;
        foreach (var (none, native, arm) in means)
        {
            kept += Math.Sign(native - none) * (arm - none);
            effects += Math.Abs(native - none);
        }

        return effects == 0 ? null : kept / effects;
    }

    private static (double None, double Native, double Arm) DrawMeans(PairedOutcomes behaviour, Random random)
    {
        double none = 0;
        double native = 0;
        double arm = 0;
        int prompts = behaviour.None.Count;
        for (int draw = 0; draw < prompts; draw++)
        {
            int prompt = random.Next(prompts);
            none += behaviour.None[prompt];
            native += behaviour.Native[prompt];
            arm += behaviour.Arm[prompt];
        }

        return (none / prompts, native / prompts, arm / prompts);
    }

    // Linear between order statistics (Hyndman and Fan 1996, type 7).
    private static double Quantile(List<double> sorted, double q)
    {
        if (sorted.Count == 0)
        {
            return double.NaN;
        }

        double at = q * (sorted.Count - 1);
        int below = (int)at;
        int above = Math.Min(below + 1, sorted.Count - 1);
        return sorted[below] + ((at - below) * (sorted[above] - sorted[below]));
    }
}

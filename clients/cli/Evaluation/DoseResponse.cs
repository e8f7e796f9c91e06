namespace LrtMesh.Cli.Evaluation;

/// <summary>How much of a behaviour a growing coefficient brings, measured on dev prompts with the native vector.</summary>
/// <param name="Coefficients">Ascending, above 0.</param>
/// <param name="Effects">Rate with steering less rate without, one for each coefficient.</param>
internal sealed record DoseResponse(IReadOnlyList<double> Coefficients, IReadOnlyList<double> Effects)
{
    /// <summary>The largest effect; 0 where none is above 0.</summary>
    public double Largest => Math.Max(0, Effects.Max());

    /// <summary>
    /// The coefficient at which the effect is half of its largest, away from the ceiling where all arms look alike. Between
    /// 0 (no effect) and the coefficient of the largest effect the measured curve is made monotone by pooling adjacent
    /// violators (Barlow et al. 1972) and read linearly between points. Null where no effect is above 0.
    /// </summary>
    public double? HalfOfLargest()
    {
        if (Largest == 0)
        {
            return null;
        }

        int peak = Effects.ToList().IndexOf(Effects.Max());
        double[] at = [0, .. Coefficients.Take(peak + 1)];
        double[] effects = Monotone([0, .. Effects.Take(peak + 1)]);
        double half = Largest / 2;
        int above = Array.FindIndex(effects, effect => effect >= half);
        // effects[0] is at most 0 and half is above it, so there is a point before.
        double share = (half - effects[above - 1]) / (effects[above] - effects[above - 1]);
        return at[above - 1] + (share * (at[above] - at[above - 1]));
    }

    // The closest non-decreasing sequence in the least-squares sense.
    private static double[] Monotone(double[] values)
    {
        var blocks = new List<(double Mean, int Length)>();
        foreach (double value in values)
        {
            var block = (Mean: value, Length: 1);
            while (blocks.Count > 0 && blocks[^1].Mean > block.Mean)
            {
                var (mean, length) = blocks[^1];
                blocks.RemoveAt(blocks.Count - 1);
                block = (((mean * length) + (block.Mean * block.Length)) / (length + block.Length), length + block.Length);
            }

            blocks.Add(block);
        }

        return [.. blocks.SelectMany(block => Enumerable.Repeat(block.Mean, block.Length))];
    }
}

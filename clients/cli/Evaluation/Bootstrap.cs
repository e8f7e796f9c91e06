namespace LrtMesh.Cli.Evaluation;

/// <summary>Intervals of means by drawing again with replacement (Efron 1979).</summary>
internal static class Bootstrap
{
    private const int Resamples = 1000;

    /// <summary>The mean of groups' means: groups are drawn, and within each its members. Null where there are none.</summary>
    public static Estimate? MeanOfGroups(IReadOnlyList<IReadOnlyList<double>> groups, int seed)
    {
        if (groups.Count == 0)
        {
            return null;
        }

        var random = new Random(seed);
        double[] means = new double[Resamples];
        for (int resample = 0; resample < Resamples; resample++)
        {
            for (int drawn = 0; drawn < groups.Count; drawn++)
            {
                // Of one group alone nothing is drawn but its members.
                var group = groups[random.Next(groups.Count)];
                double sum = 0;
                for (int i = 0; i < group.Count; i++)
                {
                    sum += group[random.Next(group.Count)];
                }

                means[resample] += sum / group.Count / groups.Count;
            }
        }

        Array.Sort(means);
        return new Estimate(groups.Average(group => group.Average()), means[(int)(0.025 * Resamples)], means[(int)(0.975 * Resamples) - 1]);
    }
}

namespace LrtMesh.Cli.Evaluation;

/// <summary>How two lists of numbers go together.</summary>
internal static class Correlation
{
    /// <summary>Pearson's r; null where one of them does not vary.</summary>
    public static double? Pearson(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        double meanX = x.Average();
        double meanY = y.Average();
        double xy = x.Zip(y, (a, b) => (a - meanX) * (b - meanY)).Sum();
        double spread = Math.Sqrt(x.Sum(a => (a - meanX) * (a - meanX)) * y.Sum(b => (b - meanY) * (b - meanY)));
        return spread == 0 ? null : xy / spread;
    }

    /// <summary>Spearman's rank correlation: Pearson's of the ranks, equal numbers sharing the mean of theirs.</summary>
    public static double? Spearman(IReadOnlyList<double> x, IReadOnlyList<double> y) => Pearson(Ranks(x), Ranks(y));

    /// <summary>Mean square of the differences.</summary>
    public static double MeanSquaredError(IReadOnlyList<double> x, IReadOnlyList<double> y) => x.Zip(y, (a, b) => (a - b) * (a - b)).Average();

    /// <summary>Slope of the least-squares line of y over x.</summary>
    public static double Slope(IReadOnlyList<double> x, IReadOnlyList<double> y)
    {
        double mean = x.Average();
        return x.Zip(y, (a, b) => (a - mean) * b).Sum() / x.Sum(a => (a - mean) * (a - mean));
    }

    private static double[] Ranks(IReadOnlyList<double> values) =>
        [.. values.Select(value => values.Count(other => other < value) + ((values.Count(other => other == value) + 1) / 2.0))];
}

using LrtMesh.V1;
using ScottPlot;

namespace LrtMesh.Cli;

/// <summary>Held-out R² of each dimension of a map's target: in a line of text, or as a picture of some maps.</summary>
internal static class DimensionPlot
{
    /// <summary>Size of a picture.</summary>
    public const int PixelWidth = 900;

    /// <summary>Size of a picture.</summary>
    public const int PixelHeight = 600;

    private const string Bars = " ▁▂▃▄▅▆▇█";
    private const int Bins = 20;

    /// <summary>How many dimensions have which R²: a bar for each twentieth from 0 to 1, those below 0 with the first.</summary>
    /// <param name="r2">At least one.</param>
    public static string Line(IReadOnlyList<float> r2)
    {
        var counts = new int[Bins];
        foreach (float value in r2)
        {
            counts[Math.Clamp((int)(value * Bins), 0, Bins - 1)]++;
        }

        int most = counts.Max();
        var sorted = r2.Order().ToArray();
        string bars = string.Concat(counts.Select(count => Bars[(((Bars.Length - 1) * count) + most - 1) / most]));
        return $"0 │{bars}│ 1, median {sorted[sorted.Length / 2]:0.00}, {sorted[0]:0.00} to {sorted[^1]:0.00}";
    }

    /// <summary>A line for each map: R² of its target's dimensions, the best first.</summary>
    /// <param name="maps">Maps with the metrics of single dimensions.</param>
    public static Plot Plot(IReadOnlyList<AffineMap> maps)
    {
        var plot = new Plot();
        foreach (var map in maps)
        {
            var sorted = map.Metrics.R2PerDimension.OrderDescending().Select(r2 => (double)r2).ToArray();
            var line = plot.Add.ScatterLine([.. Enumerable.Range(1, sorted.Length).Select(rank => (double)rank / sorted.Length)], sorted);
            line.LineWidth = 2;
            line.LegendText = $"{map.Name} (R² {map.Metrics.R2:0.00})";
        }

        double least = maps.SelectMany(map => map.Metrics.R2PerDimension).Append(0).Min();
        plot.Axes.SetLimits(0, 1, Math.Max(-1, least) - 0.02, 1.02);
        plot.XLabel("share of the target's dimensions");
        plot.YLabel("R² of at least");
        plot.Title("R² of each dimension on held-out documents");
        plot.ShowLegend(Alignment.UpperRight);
        return plot;
    }
}

using System.Diagnostics.Metrics;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>What goes into maps and how good they are.</summary>
internal static class FitMetrics
{
    private static readonly Meter Meter = new("LrtMesh.Maps");
    private static readonly Counter<long> Rows = Meter.CreateCounter<long>("lrtmesh.moments.rows", "{row}", "Rows of paired hidden states that were added to moments.");
    private static readonly Counter<long> Refused = Meter.CreateCounter<long>("lrtmesh.moments.refused_rows", "{row}", "Rows left out since a number in them was not finite, or too large.");

    private static readonly Histogram<double> R2 = Meter.CreateHistogram(
        "lrtmesh.map.r2", "1", "Held-out share of variance that a map explains, of each map fitted; below 0: worse than the mean.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99] });

    /// <summary>Rows were added.</summary>
    public static void Gathered(long rows, long refused)
    {
        Rows.Add(rows);
        Refused.Add(refused);
    }

    /// <summary>A map, or a control on shuffled rows, was fitted.</summary>
    public static void Fitted(AffineMap map) => R2.Record(map.Metrics.R2, new KeyValuePair<string, object?>("lrtmesh.map.shuffled", map.Shuffled));
}

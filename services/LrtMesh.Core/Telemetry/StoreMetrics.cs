using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace LrtMesh.Core.Telemetry;

/// <summary>What the store's server takes and refuses, and what memory spares it.</summary>
internal static class StoreMetrics
{
    private static readonly Meter Meter = new("LrtMesh.Store");

    private static readonly Histogram<double> Duration = Meter.CreateHistogram(
        "db.client.operation.duration", "s", "A command, or a transaction, from its sending to its answer.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10] });

    private static readonly Counter<long> Damaged = Meter.CreateCounter<long>("lrtmesh.store.damaged_records", "{record}", "Reads that found a damaged record, which was not used.");
    private static readonly Counter<long> Lookups = Meter.CreateCounter<long>(
        "lrtmesh.record_cache.lookups", "{lookup}", "Records asked for: held in memory (hit), read from the store (miss), or served from memory since the store was away (stale).");

    static StoreMetrics()
    {
        // An increase from nothing would be none to Prometheus.
        foreach (var kind in new[] { "vector", "map", "basis", "job" })
        {
            Damaged.Add(0, Kind(kind));
        }
    }

    /// <summary>A command was answered, or was not.</summary>
    /// <param name="began">Timestamp of its sending.</param>
    /// <param name="error">Why it failed; null: it did not.</param>
    public static void Took(long began, ErrorReason? error)
    {
        var tags = new TagList { { "db.system.name", "redis" } };
        if (error is not null)
        {
            tags.Add("error.type", error.ToString());
        }

        Duration.Record(Stopwatch.GetElapsedTime(began).TotalSeconds, tags);
    }

    /// <summary>A damaged record was found.</summary>
    /// <param name="kind">vector, map, basis or job.</param>
    public static void FoundDamaged(string kind) => Damaged.Add(1, Kind(kind));

    /// <summary>A record was asked for.</summary>
    /// <param name="kind">vector, map or basis.</param>
    /// <param name="result">hit, miss or stale.</param>
    public static void LookedUp(string kind, string result) => Lookups.Add(1, Kind(kind), new("lrtmesh.cache.result", result));

    private static KeyValuePair<string, object?> Kind(string kind) => new("lrtmesh.record.kind", kind);
}

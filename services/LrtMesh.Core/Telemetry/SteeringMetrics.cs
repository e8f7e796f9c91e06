using System.Diagnostics.Metrics;

namespace LrtMesh.Core.Telemetry;

/// <summary>Vectors that are mapped for a request, and those that were kept from one before.</summary>
internal static class SteeringMetrics
{
    private static readonly Meter Meter = new("LrtMesh.Steering");
    private static readonly Counter<long> Lookups = Meter.CreateCounter<long>("lrtmesh.mapped_vectors.lookups", "{lookup}", "Steerings by a map of a vector: kept (hit), or mapped anew (miss).");

    public static void Mapped(bool kept) => Lookups.Add(1, new KeyValuePair<string, object?>("lrtmesh.cache.result", kept ? "hit" : "miss"));
}

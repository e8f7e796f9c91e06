using System.Collections.Concurrent;
using LrtMesh.Core.Telemetry;

namespace LrtMesh.Core.Steering;

/// <summary>
/// Vectors that were carried over by maps, kept by name, version and digest of both: what is kept tells what it was made of. Each tenant's by themselves.
/// </summary>
public sealed class MappedVectors
{
    private const int MaxKept = 1024;

    private readonly ConcurrentDictionary<(string Tenant, (string Name, ulong Version, string Digest) Vector, (string Name, ulong Version, string Digest) Map), SteeringVector> _kept = new();

    /// <summary>What a map makes of a vector; made if it is not kept.</summary>
    /// <inheritdoc cref="MappedVector.Create"/>
    public SteeringVector Of(string tenant, SteeringVector vector, Maps.AffineMap map, string field)
    {
        var key = (tenant, (vector.Info.Name, vector.Info.Version, vector.Info.Digest), (map.Info.Name, map.Info.Version, map.Info.Digest));
        var found = _kept.TryGetValue(key, out var mapped);
        SteeringMetrics.Mapped(found);
        if (!found)
        {
            if (_kept.Count >= MaxKept)
            {
                _kept.Clear();
            }

            _kept[key] = mapped = MappedVector.Create(vector, map, vector.Info.Name, addBias: false, field);
        }

        return mapped!;
    }
}

using LrtMesh.Core.Maps;
using LrtMesh.Core.Steering;

namespace LrtMesh.Core.Store;

/// <summary>The records of all tenants read last, by their keys: memory is bounded however many tenants there are.</summary>
internal sealed class RecordCaches
{
    public RecordCache<SteeringVector> Vectors { get; } = new(32L << 20);

    public RecordCache<AffineMap> Maps { get; } = new(256L << 20);

    public RecordCache<StoredBasis> Bases { get; } = new(64L << 20);
}

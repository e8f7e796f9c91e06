using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core.Steering;

namespace LrtMesh.Core.Store;

/// <summary>Steering vectors in Redis.</summary>
public sealed class VectorStore : RecordStore<V1.Vector, SteeringVector>
{
    internal VectorStore(RedisLink link, TenantKeys keys, TimeSpan keepVersions, RecordCache<SteeringVector> cache)
        : base(link, keys, "vector", keepVersions, cache)
    {
    }

    private protected override V1.Vector InfoOf(SteeringVector record) => record.Info;

    private protected override string NameOf(V1.Vector info) => info.Name;

    private protected override ulong VersionOf(V1.Vector info) => info.Version;

    private protected override float[][] ArraysOf(SteeringVector record) => [record.Elements];

    private protected override ulong[] LengthsOf(V1.Vector info) => [info.Width];

    private protected override SteeringVector Compose(V1.Vector info, float[][] arrays) => new(info, arrays[0]);

    private protected override SteeringVector Check(SteeringVector record) => SteeringVector.Create(record.Info, [.. record.Elements]);

    private protected override void Stamp(V1.Vector info, ulong version, Timestamp storedAt)
    {
        info.Version = version;
        info.StoredAt = storedAt;
    }
}

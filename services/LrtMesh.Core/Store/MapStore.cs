using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core.Maps;

namespace LrtMesh.Core.Store;

/// <summary>Affine maps in Redis.</summary>
public sealed class MapStore : RecordStore<V1.AffineMap, AffineMap>
{
    internal MapStore(RedisLink link, TenantKeys keys, TimeSpan keepVersions, RecordCache<AffineMap> cache)
        : base(link, keys, "map", keepVersions, cache)
    {
    }

    private protected override V1.AffineMap InfoOf(AffineMap record) => record.Info;

    private protected override string NameOf(V1.AffineMap info) => info.Name;

    private protected override ulong VersionOf(V1.AffineMap info) => info.Version;

    private protected override float[][] ArraysOf(AffineMap record) => [record.A, record.B, .. record.Region?.Arrays() ?? []];

    // Widths are 32 bits each, so their product fits 64.
    private protected override ulong[] LengthsOf(V1.AffineMap info)
    {
        ulong[] map = [(ulong)info.TargetWidth * info.SourceWidth, info.TargetWidth];
        return info.RegionDirections == 0
            ? map
            : [.. map, info.SourceWidth, info.SourceWidth, (ulong)info.RegionDirections * info.SourceWidth, info.RegionDirections, 2];
    }

    private protected override AffineMap Compose(V1.AffineMap info, float[][] arrays)
    {
        var map = new AffineMap(info, arrays[0], arrays[1]);
        return info.RegionDirections == 0 ? map : map.With(SourceRegion.Of(arrays[2..]));
    }

    private protected override AffineMap Check(AffineMap record)
    {
        if (record.B.Length == 0 || record.A.Length == 0 || record.A.Length % record.B.Length != 0)
        {
            throw LrtMeshException.Invalid(
                "map", $"must have A of [target_width, source_width] and b of [target_width], not {record.A.Length} and {record.B.Length} elements");
        }

        if (record.Info.Source is null || record.Info.Target is null)
        {
            throw LrtMeshException.Invalid("map", "must name its source and its target");
        }

        var map = AffineMap.Create(record.Info, [.. record.A], [.. record.B]);
        return record.Region is { } region ? map.With(region) : map;
    }

    private protected override void Stamp(V1.AffineMap info, ulong version, Timestamp storedAt)
    {
        info.Version = version;
        info.StoredAt = storedAt;
    }
}

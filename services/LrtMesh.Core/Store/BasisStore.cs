using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core.Maps;

namespace LrtMesh.Core.Store;

/// <summary>Shared bases in Redis.</summary>
public sealed class BasisStore : RecordStore<V1.SharedBasis, StoredBasis>
{
    internal BasisStore(RedisLink link, TenantKeys keys, TimeSpan keepVersions, RecordCache<StoredBasis> cache)
        : base(link, keys, "basis", keepVersions, cache)
    {
    }

    private protected override V1.SharedBasis InfoOf(StoredBasis record) => record.Info;

    private protected override string NameOf(V1.SharedBasis info) => info.Name;

    private protected override ulong VersionOf(V1.SharedBasis info) => info.Version;

    private protected override float[][] ArraysOf(StoredBasis record) => [.. record.Basis.Models.SelectMany(StoredBasis.Arrays)];

    // Of each model: mean [d], read [r, d], write [d, r], and a founder's part in the coordinates [r, d].
    private protected override ulong[] LengthsOf(V1.SharedBasis info) => [.. info.Models.SelectMany(model => new[]
    {
        model.Width, (ulong)info.Rank * model.Width, (ulong)info.Rank * model.Width, model.Founder ? (ulong)info.Rank * model.Width : 0,
    })];

    private protected override StoredBasis Compose(V1.SharedBasis info, float[][] arrays) => new(
        info,
        SharedBasis.Of((int)info.Rank, info.Lambda, [.. info.Agreement], [.. info.Models.Zip(arrays.Chunk(4), (model, values) => new BasisModel(
            Doubles(values[0]), Doubles(values[1]), Doubles(values[2]), model.Founder ? Doubles(values[3]) : null))]));

    private protected override StoredBasis Check(StoredBasis record) => record;

    private protected override void Stamp(V1.SharedBasis info, ulong version, Timestamp storedAt)
    {
        info.Version = version;
        info.StoredAt = storedAt;
    }

    private static double[] Doubles(float[] values) => Array.ConvertAll(values, value => (double)value);
}

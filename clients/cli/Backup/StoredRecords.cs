using LrtMesh.V1;

namespace LrtMesh.Cli.Backup;

/// <summary>A record of the mesh's store, as its list has it.</summary>
internal sealed record StoredRecord(string Kind, string Name, ulong Version, string Digest);

/// <summary>What the mesh has stored, of all kinds that a backup holds.</summary>
internal static class StoredRecords
{
    public const string Basis = "basis";
    public const string Map = "map";
    public const string Vector = "vector";

    /// <summary>Lists everything: bases, then maps, then vectors.</summary>
    public static async Task<IReadOnlyList<StoredRecord>> ListAsync(Mesh mesh, CancellationToken cancellation)
    {
        var records = new List<StoredRecord>();
        await AllPagesAsync(async token =>
        {
            var page = await mesh.Mapping.ListBasesAsync(new ListBasesRequest { PageToken = token }, Mesh.Soon(cancellation));
            records.AddRange(page.Bases.Select(basis => new StoredRecord(Basis, basis.Name, basis.Version, basis.Digest)));
            return page.NextPageToken;
        });
        await AllPagesAsync(async token =>
        {
            var page = await mesh.Mapping.ListMapsAsync(new ListMapsRequest { PageToken = token }, Mesh.Soon(cancellation));
            records.AddRange(page.Maps.Select(map => new StoredRecord(Map, map.Name, map.Version, map.Digest)));
            return page.NextPageToken;
        });
        await AllPagesAsync(async token =>
        {
            var page = await mesh.Vectors.ListVectorsAsync(new ListVectorsRequest { PageToken = token }, Mesh.Soon(cancellation));
            records.AddRange(page.Vectors.Select(vector => new StoredRecord(Vector, vector.Name, vector.Version, vector.Digest)));
            return page.NextPageToken;
        });
        return records;
    }

    private static async Task AllPagesAsync(Func<string, Task<string>> page)
    {
        string token = "";
        do
        {
            token = await page(token);
        }
        while (token.Length > 0);
    }
}

using Grpc.Core;
using LrtMesh.Cli.Commands;
using LrtMesh.Cli.Interchange;
using LrtMesh.Client;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Backup;

/// <summary><c>lrtmesh import --all</c>: the vectors, maps and bases of a backup into the mesh's store.</summary>
internal static class BackupImport
{
    /// <summary>
    /// 1. Checks every file, before anything is stored. 2. Stores what is not there; what is there with the same content stays as it is, so that a run that was
    /// interrupted is repeated, and what is there with other content is replaced only if that was asked for.
    /// </summary>
    /// <exception cref="CommandException">The backup is not whole or damaged, or records were left out.</exception>
    public static async Task RunAsync(CommandRun run, string path, bool replace)
    {
        // 1.
        var records = BackupFolder.Read(path);
        foreach (var record in records)
        {
            BackupFolder.Check(path, record);
        }

        // 2.
        await using var mesh = await run.OpenMeshAsync();
        var there = (await StoredRecords.ListAsync(mesh, run.Cancellation)).ToDictionary(record => (record.Kind, record.Name), record => record.Digest);
        var (stored, kept) = (0, 0);
        var others = new List<string>();
        foreach (var record in records)
        {
            if (there.GetValueOrDefault((record.Kind, record.Name)) is { } digest && (digest == record.Digest || !replace))
            {
                if (digest == record.Digest)
                {
                    kept++;
                }
                else
                {
                    others.Add($"{record.Kind} {record.Name}");
                }

                continue;
            }

            string now = await StoreAsync(mesh, record, Path.Combine(path, record.File), run.Cancellation);
            if (now != record.Digest)
            {
                throw new CommandException($"{record.Kind} {record.Name}: stored with digest {now}, and the backup says {record.Digest}.");
            }

            stored++;
        }

        run.Terminal.Out.MarkupLineInterpolated($"{path}: {records.Count} vectors, maps and bases; {stored} stored, {kept} there already");
        await run.WriteJsonAsync(new { Folder = path, Stored = stored, Kept = kept, Others = others });
        if (others.Count > 0)
        {
            throw new CommandException($"Left as they are, since the store has others under these names: {string.Join(", ", others)}.", "--replace puts those of the backup in their place.");
        }
    }

    private static async Task<string> StoreAsync(Mesh mesh, BackupRecord record, string path, CancellationToken cancellation)
    {
        switch (record.Kind)
        {
            case StoredRecords.Basis:
            {
                using var call = mesh.Mapping.ImportBasis(Mesh.Long(cancellation));
                await SendAsync(call.RequestStream, BasisFile.Read(path), cancellation);
                return (await call.ResponseAsync).Basis.Digest;
            }

            case StoredRecords.Map:
            {
                using var call = mesh.Mapping.ImportMap(Mesh.Long(cancellation));
                await SendAsync(call.RequestStream, MapFile.Read(path, name: null), cancellation);
                return (await call.ResponseAsync).Map.Digest;
            }

            case StoredRecords.Vector:
            {
                var file = VectorFile.Read(path);
                var vector = file.Vectors.Count == 1 ? file.Vectors[0] : throw new CommandException($"{path}: does not describe one vector.");
                float[] elements = file.Directions[vector.Layer];
                var response = await mesh.Vectors.PutVectorAsync(new PutVectorRequest { Vector = vector, Elements = TensorBytes.Encode(elements, (ulong)elements.Length) }, Mesh.Soon(cancellation));
                return response.Vector.Digest;
            }

            default:
                throw new CommandException($"{path}: a {record.Kind} cannot be imported.", "The backup may be of a newer LrtMesh.");
        }
    }

    private static async Task SendAsync<T>(IClientStreamWriter<T> requests, IEnumerable<T> parts, CancellationToken cancellation)
    {
        try
        {
            foreach (var part in parts)
            {
                await requests.WriteAsync(part, cancellation);
            }

            await requests.CompleteAsync();
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException)
        {
            // The server has ended the call; the answer says why.
        }
    }
}

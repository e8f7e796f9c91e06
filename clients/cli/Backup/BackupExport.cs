using Grpc.Core;
using LrtMesh.Cli.Commands;
using LrtMesh.Cli.Interchange;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Backup;

/// <summary><c>lrtmesh export --all</c>: every vector, map and basis of the mesh into a folder.</summary>
internal static class BackupExport
{
    /// <summary>Makes the backup, goes on with one that was interrupted, or brings one up to date.</summary>
    /// <exception cref="CommandException">The folder holds something else, or a record cannot be read.</exception>
    public static async Task RunAsync(CommandRun run, string path)
    {
        var folder = BackupFolder.ToWrite(path);
        await using var mesh = await run.OpenMeshAsync();
        var (written, kept) = (0, 0);
        var damaged = new List<string>();
        foreach (var record in await StoredRecords.ListAsync(mesh, run.Cancellation))
        {
            if (folder.Keep(record.Kind, record.Name, record.Version, record.Digest))
            {
                kept++;
                continue;
            }

            try
            {
                var (version, digest) = await WriteAsync(mesh, record, folder.PathOf(record.Kind, record.Name), run.Cancellation);
                folder.Add(record.Kind, record.Name, version, digest);
                written++;
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.NotFound)
            {
                // Deleted since it was listed.
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.DataLoss)
            {
                damaged.Add(e.Status.Detail);
            }
        }

        await folder.FinishAsync(run.Cancellation);
        run.Terminal.Out.MarkupLineInterpolated($"{path}: {written + kept} vectors, maps and bases; {written} written, {kept} there already");
        await run.WriteJsonAsync(new { Folder = path, Written = written, Kept = kept, Damaged = damaged });
        if (damaged.Count > 0)
        {
            throw new CommandException($"{damaged.Count} of the store's records are damaged and not in the backup: {string.Join("; ", damaged)}");
        }
    }

    private static async Task<(ulong Version, string Digest)> WriteAsync(Mesh mesh, StoredRecord record, string path, CancellationToken cancellation)
    {
        switch (record.Kind)
        {
            case StoredRecords.Basis:
            {
                using var call = mesh.Mapping.ExportBasis(new ExportBasisRequest { Basis = record.Name }, Mesh.Long(cancellation));
                var basis = await BasisFile.SaveAsync(path, call.ResponseStream, cancellation);
                return (basis.Version, basis.Digest);
            }

            case StoredRecords.Map:
            {
                using var call = mesh.Mapping.ExportMap(new ExportMapRequest { Map = record.Name }, Mesh.Long(cancellation));
                var map = await MapFile.SaveAsync(path, call.ResponseStream, cancellation);
                return (map.Version, map.Digest);
            }

            default:
            {
                var response = await mesh.Vectors.GetVectorAsync(new GetVectorRequest { Name = record.Name }, Mesh.Soon(cancellation));
                var vector = response.Vector;
                await new VectorFile(null, new Dictionary<uint, float[]> { [vector.Layer] = Tensors.Float32(response.Elements) }, [vector]).WriteAsync(path, cancellation);
                return (vector.Version, vector.Digest);
            }
        }
    }
}

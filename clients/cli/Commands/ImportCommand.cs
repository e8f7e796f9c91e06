using System.CommandLine;
using Grpc.Core;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh import</c>: a map that was exported, into the mesh's store.</summary>
internal static class ImportCommand
{
    private static readonly Argument<FileInfo> Path = new("file") { Description = "A file that lrtmesh export wrote.", HelpName = "FILE" };

    private static readonly Option<string?> MapName = new("--name") { Description = "Name to store the map under. Default: the one that it had.", HelpName = "MAP" };

    public static Command Create()
    {
        var command = new Command("import", """
            Stores a map from a safetensors file, as lrtmesh export wrote it. Its digest is checked.

            Example: lrtmesh import small-to-large.safetensors --name small-to-large
            """)
        { Path, MapName };
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        await using var mesh = await run.OpenMeshAsync();
        using var call = mesh.Mapping.ImportMap(Mesh.Long(run.Cancellation));
        try
        {
            foreach (var part in MapFile.Read(run.Parse.GetValue(Path)!.FullName, run.Parse.GetValue(MapName)))
            {
                await call.RequestStream.WriteAsync(part, run.Cancellation);
            }

            await call.RequestStream.CompleteAsync();
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException)
        {
            // The server has ended the call; the answer says why.
        }

        var map = (await call.ResponseAsync).Map;
        run.Terminal.Out.MarkupLineInterpolated($"{map.Name}: {map.Source.Model}:{map.Source.Layer} → {map.Target.Model}:{map.Target.Layer}, version {map.Version}, digest {Inputs.Short(map.Digest)}");
        await run.WriteJsonAsync(new { map.Name, map.Version, map.Digest });
    }
}

using System.CommandLine;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh export</c>: a stored map as a safetensors file.</summary>
internal static class ExportCommand
{
    private static readonly Option<string> Map = new("--map") { Description = "Name of the map.", HelpName = "MAP", Required = true };

    private static readonly Option<FileInfo> Out = new("--out") { Description = "File to write.", HelpName = "FILE", Required = true };

    public static Command Create()
    {
        var command = new Command("export", """
            Writes a map, with its metrics and where it came from, as a safetensors file.

            Example: lrtmesh export --map small-to-large --out small-to-large.safetensors
            """)
        { Map, Out };
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        await using var mesh = await run.OpenMeshAsync();
        using var call = mesh.Mapping.ExportMap(new ExportMapRequest { Map = run.Get(Map) }, Mesh.Long(run.Cancellation));
        var map = await MapFile.SaveAsync(run.Get(Out).FullName, call.ResponseStream, run.Cancellation);
        run.Terminal.Out.MarkupLineInterpolated($"{run.Get(Out)}: {map.Name}, {map.Source.Model}:{map.Source.Layer} → {map.Target.Model}:{map.Target.Layer}, version {map.Version}, digest {Inputs.Short(map.Digest)}");
        await run.WriteJsonAsync(new { map.Name, map.Version, map.Digest, File = run.Get(Out).FullName });
    }
}

using System.CommandLine;
using LrtMesh.Cli.Interchange;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh export</c>: stored steering vectors, or a map, as a file.</summary>
internal static class ExportCommand
{
    private static readonly Option<string[]> Vectors = new("--vector")
    {
        Description = "Name of a steering vector, or several of one model, one a layer.",
        HelpName = "VECTOR",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<string?> Map = new("--map") { Description = "Name of a map, instead of vectors.", HelpName = "MAP" };

    private static readonly Option<FileInfo> Out = new("--out")
    {
        Description = "File to write. Vectors: a control vector as llama.cpp and repeng read it if its name ends in .gguf, otherwise safetensors. A map: safetensors.",
        HelpName = "FILE",
        Required = true,
    };

    public static Command Create()
    {
        var command = new Command("export", """
            Writes steering vectors as a file that other programs read, or a map with its metrics and where it came from.

            Example: lrtmesh export --vector polite-large --out polite.gguf
            """)
        { Vectors, Map, Out };
        command.Validators.Add(result =>
        {
            if (result.GetValue(Vectors) is { Length: > 0 } == result.GetValue(Map) is not null)
            {
                result.AddError("Name what to export: either --vector VECTOR or --map MAP.");
            }
        });
        CommandRun.Set(command, run => run.Parse.GetValue(Map) is { } map ? ExportMapAsync(run, map) : VectorExport.RunAsync(run, run.Get(Vectors), run.Get(Out).FullName));
        return command;
    }

    private static async Task ExportMapAsync(CommandRun run, string name)
    {
        await using var mesh = await run.OpenMeshAsync();
        using var call = mesh.Mapping.ExportMap(new ExportMapRequest { Map = name }, Mesh.Long(run.Cancellation));
        var map = await MapFile.SaveAsync(run.Get(Out).FullName, call.ResponseStream, run.Cancellation);
        run.Terminal.Out.MarkupLineInterpolated($"{run.Get(Out)}: {map.Name}, {map.Source.Model}:{map.Source.Layer} → {map.Target.Model}:{map.Target.Layer}, version {map.Version}, digest {Inputs.Short(map.Digest)}");
        await run.WriteJsonAsync(new { map.Name, map.Version, map.Digest, File = run.Get(Out).FullName });
    }
}

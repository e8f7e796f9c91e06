using System.CommandLine;
using LrtMesh.Cli.Backup;
using LrtMesh.Cli.Interchange;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh export</c>: a stored map, or steering vectors, as a file, or everything as a backup.</summary>
internal static class ExportCommand
{
    private static readonly Option<string?> Map = new("--map") { Description = "Name of a map, written as safetensors.", HelpName = "MAP" };

    private static readonly Option<string[]> Vectors = new("--vector")
    {
        Description = "Name of a steering vector, or several of one model, one a layer.",
        HelpName = "VECTOR",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<ulong> MapVersion = Inputs.VersionOf("--map");

    private static readonly Option<ulong> VectorVersion = Inputs.VersionOf("--vector");

    private static readonly Option<FileInfo?> Out = new("--out") { Description = "File to write. Vectors: a control vector as llama.cpp and repeng read it if it ends in .gguf, otherwise safetensors.", HelpName = "FILE" };

    private static readonly Option<DirectoryInfo?> All = new("--all") { Description = "Folder for a backup of every vector, map and basis, of each the newest version; again into the same folder it writes what has changed.", HelpName = "FOLDER" };

    public static Command Create()
    {
        var command = new Command("export", """
            Writes a map, with its metrics and where it came from, or steering vectors, as a file; with --all everything but jobs,
            as a backup that import --all reads. A backup that was interrupted goes on.

            Example: lrtmesh export --map small-to-large --out small-to-large.safetensors
            Example: lrtmesh export --vector polite-large --out polite.gguf
            Example: lrtmesh export --map small-to-large --map-version 3 --out before-the-refit.safetensors
            Example: lrtmesh export --all backup
            """)
        { Map, MapVersion, Vectors, VectorVersion, Out, All };
        command.Validators.Add(result =>
        {
            bool[] what = [result.GetValue(Map) is not null, result.GetValue(Vectors) is { Length: > 0 }, result.GetValue(All) is not null];
            if (what.Count(given => given) != 1)
            {
                result.AddError("Say what to export: either --map MAP, --vector VECTOR or --all FOLDER.");
            }
            else if ((result.GetValue(MapVersion) > 0 && !what[0]) || (result.GetValue(VectorVersion) > 0 && result.GetValue(Vectors) is not [_]))
            {
                result.AddError("--map-version belongs to --map, and --vector-version to --vector with one name.");
            }
            else if (result.GetValue(Out) is null != what[2])
            {
                result.AddError(what[2] ? "--out belongs to --map and --vector; --all names a folder." : "Say where to: --out FILE.");
            }
        });
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static Task RunAsync(CommandRun run) =>
        run.Parse.GetValue(All) is { } folder ? BackupExport.RunAsync(run, folder.FullName)
        : run.Parse.GetValue(Map) is { } map ? ExportMapAsync(run, map)
        : VectorExport.RunAsync(run, run.Get(Vectors), run.Get(VectorVersion), run.Get(Out)!.FullName);

    private static async Task ExportMapAsync(CommandRun run, string name)
    {
        await using var mesh = await run.OpenMeshAsync();
        using var call = mesh.Mapping.ExportMap(new ExportMapRequest { Map = name, MapVersion = run.Get(MapVersion) }, Mesh.Long(run.Cancellation));
        var map = await MapFile.SaveAsync(run.Get(Out)!.FullName, call.ResponseStream, run.Cancellation);
        run.Terminal.Out.MarkupLineInterpolated($"{run.Get(Out)}: {map.Name}, {map.Source.Model}:{map.Source.Layer} → {map.Target.Model}:{map.Target.Layer}, version {map.Version}, digest {Inputs.Short(map.Digest)}");
        await run.WriteJsonAsync(new { map.Name, map.Version, map.Digest, File = run.Get(Out)!.FullName });
    }
}

using System.CommandLine;
using Grpc.Core;
using LrtMesh.Cli.Backup;
using LrtMesh.Cli.Interchange;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh import</c>: a map or steering vectors from a file, or a backup, into the mesh's store.</summary>
internal static class ImportCommand
{
    private static readonly Argument<FileInfo?> Path = new("file")
    {
        Description = "A map that lrtmesh export wrote; with --model a GGUF control vector or safetensors of directions.",
        HelpName = "FILE",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<DirectoryInfo?> All = new("--all") { Description = "Folder of a backup that lrtmesh export --all wrote: all of it.", HelpName = "FOLDER" };

    private static readonly Option<bool> Replace = new("--replace") { Description = "With --all: also put what the backup has in the place of what the store has under the same names." };

    private static readonly Option<string?> Name = new("--name") { Description = "Name to store it under; with several layers @L is appended. Default: the one that it had, or the file's.", HelpName = "NAME" };

    private static readonly Option<string?> Model = new("--model") { Description = "The file has steering vectors, and they are of this model.", HelpName = "MODEL" };

    private static readonly Option<uint[]> Layers = new("--layer") { Description = "With --model: take these layers alone. Default: all that the file has.", HelpName = "LAYER", AllowMultipleArgumentsPerToken = true };

    public static Command Create()
    {
        var command = new Command("import", """
            Stores a map from a safetensors file, as lrtmesh export wrote it (its digest is checked), or steering vectors from a
            control vector of llama.cpp or repeng, or from safetensors with tensors direction.N, layer_activations.N or N; with --all
            a backup, whose files are checked first. What the store has already, with the same content, stays as it is.

            Example: lrtmesh import small-to-large.safetensors --name small-to-large
            Example: lrtmesh import happy.gguf --model tiny-large --name happy
            Example: lrtmesh import --all backup
            """)
        { Path, Name, Model, Layers, All, Replace };
        command.Validators.Add(result =>
        {
            bool all = result.GetValue(All) is not null;
            if (all == result.GetValue(Path) is not null)
            {
                result.AddError("Say what to import: either FILE or --all FOLDER.");
            }
            else if (all && (result.GetValue(Name) ?? result.GetValue(Model)) is not null)
            {
                result.AddError("--name and --model belong to a file; a backup knows both.");
            }

            if (!all && result.GetValue(Replace))
            {
                result.AddError("--replace belongs to --all; a file always takes its name's place.");
            }

            if (result.GetValue(Layers) is { Length: > 0 } && result.GetValue(Model) is null)
            {
                result.AddError("--layer is for steering vectors: say --model MODEL.");
            }
        });
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static Task RunAsync(CommandRun run)
    {
        if (run.Parse.GetValue(All) is { } folder)
        {
            return BackupImport.RunAsync(run, folder.FullName, run.Get(Replace));
        }

        string path = run.Parse.GetValue(Path)!.FullName;
        return run.Parse.GetValue(Model) is { } model
            ? VectorImport.RunAsync(run, VectorFile.Read(path), run.Parse.GetValue(Name) ?? System.IO.Path.GetFileNameWithoutExtension(path), model, run.Get(Layers))
            : ImportMapAsync(run, path);
    }

    private static async Task ImportMapAsync(CommandRun run, string path)
    {
        await using var mesh = await run.OpenMeshAsync();
        using var call = mesh.Mapping.ImportMap(Mesh.Long(run.Cancellation));
        try
        {
            foreach (var part in MapFile.Read(path, run.Parse.GetValue(Name)))
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

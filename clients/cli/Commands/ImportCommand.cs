using System.CommandLine;
using Grpc.Core;
using LrtMesh.Cli.Interchange;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh import</c>: steering vectors or a map from a file, into the mesh's store.</summary>
internal static class ImportCommand
{
    private static readonly Argument<FileInfo> Path = new("file") { Description = "A GGUF control vector, safetensors of directions, or a map that lrtmesh export wrote.", HelpName = "FILE" };

    private static readonly Option<string?> Name = new("--name")
    {
        Description = "Name to store it under; with vectors of several layers @L is appended. Default: the file's for vectors, the one that it had for a map.",
        HelpName = "NAME",
    };

    private static readonly Option<string?> Model = new("--model") { Description = "Model that vectors are of. Without it the file is read as a map.", HelpName = "MODEL" };

    private static readonly Option<uint[]> Layers = new("--layer") { Description = "Take vectors of these layers alone. Default: all that the file has.", HelpName = "LAYER", AllowMultipleArgumentsPerToken = true };

    public static Command Create()
    {
        var command = new Command("import", """
            Stores steering vectors from a control vector of llama.cpp or repeng, or from safetensors with tensors direction.N,
            layer_activations.N or N, where N is the layer counted from 0; or a map, whose digest is checked.

            Example: lrtmesh import happy.gguf --model tiny-large --name happy
            """)
        { Path, Name, Model, Layers };
        command.Validators.Add(result =>
        {
            bool vectors = result.GetValue(Model) is not null;
            if (!vectors && result.GetValue(Path)?.Extension is ".gguf")
            {
                result.AddError("--model: a .gguf file holds vectors; say which model they are of.");
            }
            else if (!vectors && result.GetValue(Layers) is { Length: > 0 })
            {
                result.AddError("--layer is for vectors: give their --model, too.");
            }
        });
        CommandRun.Set(command, run =>
        {
            string path = run.Parse.GetValue(Path)!.FullName;
            string? name = run.Parse.GetValue(Name);
            return run.Parse.GetValue(Model) is { } model
                ? VectorImport.RunAsync(run, VectorFile.Read(path), name ?? System.IO.Path.GetFileNameWithoutExtension(path), model, run.Get(Layers))
                : ImportMapAsync(run, path, name);
        });
        return command;
    }

    private static async Task ImportMapAsync(CommandRun run, string path, string? name)
    {
        await using var mesh = await run.OpenMeshAsync();
        using var call = mesh.Mapping.ImportMap(Mesh.Long(run.Cancellation));
        try
        {
            foreach (var part in MapFile.Read(path, name))
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

using System.CommandLine;
using LrtMesh.Cli.Interchange;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh import</c>: steering vectors from a file, into the mesh's store.</summary>
internal static class ImportCommand
{
    private static readonly Argument<FileInfo> Path = new("file") { Description = "A GGUF control vector, or safetensors of directions.", HelpName = "FILE" };

    private static readonly Option<string?> Name = new("--name") { Description = "Name to store it under; with several layers @L is appended. Default: the file's.", HelpName = "NAME" };

    private static readonly Option<string> Model = new("--model") { Description = "Model that they are of.", HelpName = "MODEL", Required = true };

    private static readonly Option<uint[]> Layers = new("--layer") { Description = "Take these layers alone. Default: all that the file has.", HelpName = "LAYER", AllowMultipleArgumentsPerToken = true };

    public static Command Create()
    {
        var command = new Command("import", """
            Stores steering vectors from a control vector of llama.cpp or repeng, or from safetensors with tensors direction.N,
            layer_activations.N or N, where N is the layer counted from 0.

            Example: lrtmesh import happy.gguf --model tiny-large --name happy
            """)
        { Path, Name, Model, Layers };
        CommandRun.Set(command, run =>
        {
            string path = run.Parse.GetValue(Path)!.FullName;
            string name = run.Parse.GetValue(Name) ?? System.IO.Path.GetFileNameWithoutExtension(path);
            return VectorImport.RunAsync(run, VectorFile.Read(path), name, run.Get(Model), run.Get(Layers));
        });
        return command;
    }
}

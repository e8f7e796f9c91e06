using System.CommandLine;
using LrtMesh.Cli.Interchange;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh export</c>: stored steering vectors as a file.</summary>
internal static class ExportCommand
{
    private static readonly Option<string[]> Vectors = new("--vector")
    {
        Description = "Name of a steering vector, or several of one model, one a layer.",
        HelpName = "VECTOR",
        AllowMultipleArgumentsPerToken = true,
        Required = true,
    };

    private static readonly Option<FileInfo> Out = new("--out") { Description = "File to write: a control vector as llama.cpp and repeng read it if its name ends in .gguf, otherwise safetensors.", HelpName = "FILE", Required = true };

    public static Command Create()
    {
        var command = new Command("export", """
            Writes steering vectors as a file that other programs read.

            Example: lrtmesh export --vector polite-large --out polite.gguf
            """)
        { Vectors, Out };
        CommandRun.Set(command, run => VectorExport.RunAsync(run, run.Get(Vectors), run.Get(Out).FullName));
        return command;
    }
}

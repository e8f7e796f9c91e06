using System.CommandLine;

namespace LrtMesh.Cli.Commands;

/// <summary>The options that every command has: which mesh, and where to write the facts.</summary>
internal sealed class MeshOptions
{
    public MeshOptions(Command command)
    {
        command.Add(Mesh);
        command.Add(Redis);
        command.Add(Json);
        command.Validators.Add(result =>
        {
            if (result.GetValue(Mesh) is not null && result.GetValue(Redis) is not null)
            {
                result.AddError("--redis is for a mesh that the command starts; the mesh of --mesh has its store already.");
            }
        });
    }

    public Option<string?> Mesh { get; } = new("--mesh")
    {
        Description = "Use the running mesh of this profile (mesh.json, written by `lrtmesh up`). Without it the command starts a mesh of its own and stops it at the end; vectors and maps stay in .lrtmesh/.",
        HelpName = "PROFILE",
    };

    public Option<string?> Redis { get; } = new("--redis")
    {
        Description = "Let the mesh that the command starts keep vectors and maps in this Redis instead of the embedded store.",
        HelpName = "HOST:PORT",
    };

    public Option<string?> Json { get; } = new("--json")
    {
        Description = "Also write the facts as JSON for programs; - writes to standard output, and what is for people to standard error.",
        HelpName = "FILE",
    };
}

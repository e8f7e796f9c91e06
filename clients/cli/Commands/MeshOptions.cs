using System.CommandLine;
using LrtMesh.Client;

namespace LrtMesh.Cli.Commands;

/// <summary>The options that every command has: which mesh, and where to write the facts.</summary>
internal sealed class MeshOptions
{
    public MeshOptions(Command command)
    {
        command.Add(Mesh);
        command.Add(Redis);
        command.Add(Json);
        command.Add(TlsCa);
        command.Add(TlsCert);
        command.Add(TlsKey);
        command.Add(TokenFile);
        command.Validators.Add(result =>
        {
            if (result.GetValue(Mesh) is not null && result.GetValue(Redis) is not null)
            {
                result.AddError("--redis is for a mesh that the command starts; the mesh of --mesh has its store already.");
            }

            if (result.GetValue(TlsCert) is null != result.GetValue(TlsKey) is null)
            {
                result.AddError("--tls-cert and --tls-key go together.");
            }

            if (result.GetValue(Mesh) is null && new[] { TlsCa, TlsCert, TokenFile }.Any(option => result.GetValue(option) is not null))
            {
                result.AddError("--tls-ca, --tls-cert and --token-file are for the mesh of --mesh; one that the command starts is on this machine alone.");
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

    public Option<string?> TlsCa { get; } = new("--tls-ca")
    {
        Description = "PEM of the authorities that the mesh's certificates are from. Default: those that this system trusts.",
        HelpName = "FILE",
    };

    public Option<string?> TlsCert { get; } = new("--tls-cert") { Description = "PEM of the certificate to show to a mesh that asks for one.", HelpName = "FILE" };

    public Option<string?> TlsKey { get; } = new("--tls-key") { Description = "PEM of its private key.", HelpName = "FILE" };

    public Option<string?> TokenFile { get; } = new("--token-file")
    {
        Description = "File of the bearer token for a mesh that asks for one. Default: what the variable LRTMESH_TOKEN holds, if anything.",
        HelpName = "FILE",
    };

    /// <summary>What to show to the mesh of --mesh; null: nothing.</summary>
    public MeshAccess? Access(ParseResult parse)
    {
        var access = new MeshAccess
        {
            Ca = parse.GetValue(TlsCa),
            Certificate = parse.GetValue(TlsCert),
            Key = parse.GetValue(TlsKey),
            TokenFile = parse.GetValue(TokenFile),
            Token = Environment.GetEnvironmentVariable("LRTMESH_TOKEN") is { Length: > 0 } token ? token : null,
        };
        return access == new MeshAccess() ? null : access;
    }
}

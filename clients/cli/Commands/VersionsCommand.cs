using System.CommandLine;
using Google.Protobuf.WellKnownTypes;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh versions</c>: the versions of a vector or a map that can be read.</summary>
internal static class VersionsCommand
{
    private static readonly Option<string?> Map = new("--map") { Description = "Name of a map.", HelpName = "MAP" };

    private static readonly Option<string?> Vector = new("--vector") { Description = "Name of a steering vector.", HelpName = "VECTOR" };

    public static Command Create()
    {
        var command = new Command("versions", """
            Lists the versions of a map or a steering vector that can be read, newest first: one that is put again under its name takes
            the place of the one before, which stays for a time.

            Example: lrtmesh versions --map small-to-large
            Example: lrtmesh versions --vector polite-large
            """)
        { Map, Vector };
        command.Validators.Add(result =>
        {
            if (result.GetValue(Map) is null == result.GetValue(Vector) is null)
            {
                result.AddError("Say of what: either --map MAP or --vector VECTOR.");
            }
        });
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        await using var mesh = await run.OpenMeshAsync();
        if (run.Parse.GetValue(Map) is { } map)
        {
            var maps = (await mesh.Mapping.ListMapsAsync(new ListMapsRequest { VersionsOf = map }, Mesh.Soon(run.Cancellation))).Maps;
            var table = new Table().Border(TableBorder.Simple).AddColumns("version", "stored", "digest", "from", "to", "R²");
            foreach (var version in maps)
            {
                table.AddRow($"{version.Version}", Stored(version.StoredAt), Inputs.Short(version.Digest), $"{version.Source.Model}:{version.Source.Layer}", $"{version.Target.Model}:{version.Target.Layer}", version.Metrics is { } metrics ? $"{metrics.R2:0.000}" : "");
            }

            run.Terminal.Out.Write(table);
            await run.WriteJsonAsync(new { Map = map, Versions = maps.Select(version => new { version.Version, StoredAt = version.StoredAt?.ToDateTimeOffset(), version.Digest, version.Metrics?.R2 }) });
        }
        else
        {
            string name = run.Parse.GetValue(Vector)!;
            var vectors = (await mesh.Vectors.ListVectorsAsync(new ListVectorsRequest { VersionsOf = name }, Mesh.Soon(run.Cancellation))).Vectors;
            var table = new Table().Border(TableBorder.Simple).AddColumns("version", "stored", "digest", "model", "layer", "norm");
            foreach (var version in vectors)
            {
                table.AddRow($"{version.Version}", Stored(version.StoredAt), Inputs.Short(version.Digest), version.Model, $"{version.Layer}", $"{version.Norm:0.000}");
            }

            run.Terminal.Out.Write(table);
            await run.WriteJsonAsync(new { Vector = name, Versions = vectors.Select(version => new { version.Version, StoredAt = version.StoredAt?.ToDateTimeOffset(), version.Digest, version.Norm }) });
        }
    }

    private static string Stored(Timestamp? at) => at is null ? "" : $"{at.ToDateTimeOffset().ToLocalTime():yyyy-MM-dd HH:mm:ss}";
}

using System.CommandLine;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh transfer</c>: a vector of one model as a vector of another.</summary>
internal static class TransferCommand
{
    private static readonly Option<string> VectorName = new("--vector") { Description = "The vector to carry over; its model and layer are the map's source.", HelpName = "VECTOR", Required = true };

    private static readonly Option<string> MapName = new("--map") { Description = "The map to carry it by.", HelpName = "MAP", Required = true };

    private static readonly Option<ulong> VectorVersion = Inputs.VersionOf("--vector");

    private static readonly Option<ulong> MapVersion = Inputs.VersionOf("--map");

    private static readonly Option<string> ResultName = new("--name") { Description = "Name to store the result under.", HelpName = "NAME", Required = true };

    private static readonly Option<bool> AddBias = new("--add-bias") { Description = "A·v + b, as the paper has it, instead of A·v; in a difference of means the bias cancels." };

    public static Command Create()
    {
        var command = new Command("transfer", """
            Carries a vector learnt in one model over to another by a map, and stores the result there.

            Example: lrtmesh transfer --vector cheerful --map small-to-large --name cheerful-large
            """)
        { VectorName, VectorVersion, MapName, MapVersion, ResultName, AddBias };
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        var request = new TransferVectorRequest
        {
            Vector = run.Get(VectorName),
            VectorVersion = run.Get(VectorVersion),
            Map = run.Get(MapName),
            MapVersion = run.Get(MapVersion),
            Name = run.Get(ResultName),
            AddBias = run.Get(AddBias),
        };
        await using var mesh = await run.OpenMeshAsync();
        var response = await mesh.Mapping.TransferVectorAsync(request, Mesh.Soon(run.Cancellation));
        var vector = response.Vector;
        var from = vector.Provenance;

        run.Terminal.Out.MarkupLineInterpolated($"{vector.Name}: layer {vector.Layer} of {vector.Model}, width {vector.Width}, norm {vector.Norm:0.000}, digest {Inputs.Short(vector.Digest)}");
        run.Terminal.Out.MarkupLineInterpolated($"from {from.SourceVector} (version {from.SourceVectorVersion}, {Inputs.Short(from.SourceVectorDigest)}) by map {from.Map} (version {from.MapVersion}, {Inputs.Short(from.MapDigest)})");
        if (response.Distance is { Warning.Length: > 0 } distance)
        {
            run.Terminal.Out.MarkupLineInterpolated($"[yellow]{distance.Warning}[/]");
        }

        run.Terminal.Note($"Try it with growing coefficients; a tenth to a third of the length of the layer's hidden states is where most vectors work: lrtmesh generate --model {vector.Model} --vector {vector.Name} --coefficient C \"...\"");
        await run.WriteJsonAsync(new
        {
            vector.Name,
            vector.Model,
            vector.ModelDigest,
            vector.Layer,
            vector.Width,
            vector.Norm,
            vector.Digest,
            from.SourceVector,
            from.SourceVectorVersion,
            from.SourceVectorDigest,
            from.Map,
            from.MapVersion,
            from.MapDigest,
            BiasAdded = from.MapBiasAdded,
            Distance = response.Distance?.Distances[0],
            response.Distance?.UsualDistance,
        });
    }
}

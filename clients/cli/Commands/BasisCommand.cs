using System.CommandLine;
using System.CommandLine.Parsing;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh basis</c>: a basis that several models share, fitted, extended, and used for maps.</summary>
internal static class BasisCommand
{
    public static Command Create() => new("basis", """
        A basis that three or more models share: each is read into it and written from it, so that N models need 2N maps
        instead of N².

        Example: lrtmesh basis fit --name family --rank 64 --model tiny-small:2 --model tiny-medium:3 --model tiny-large:5
        """)
    { Fit(), Add(), Map() };

    private static Command Fit()
    {
        var name = Name();
        var models = new Option<LayerRef[]>("--model")
        {
            Description = "A model and its layer, at least two.",
            HelpName = "MODEL:LAYER",
            Required = true,
            CustomParser = ParseLayers,
        };
        var rank = new Option<uint>("--rank") { Description = "Coordinates of the basis.", HelpName = "R", Required = true };
        var lambda = new Option<double?>("--lambda") { Description = "Penalty, relative to the mean variance of each model's dimensions. Default: 1e-3.", HelpName = "X" };
        var command = new Command("fit", """
            Fits a basis by generalized canonical correlation (MAXVAR) and measures maps through it beside direct ones.

            Example: lrtmesh basis fit --name family --rank 64 --model tiny-small:2 --model tiny-medium:3 --model tiny-large:5
            """)
        { name, models, rank, lambda };
        var texts = new MapTextOptions(command);
        CommandRun.Set(command, run =>
        {
            var basis = new BasisRequest { Name = run.Get(name), Rank = run.Get(rank), Models = { run.Get(models) } };
            if (run.Parse.GetValue(lambda) is { } given)
            {
                basis.Lambda = given;
            }

            return RunAsync(run, texts, basis);
        });
        return command;
    }

    private static Command Add()
    {
        var name = Name();
        var model = Inputs.LayerOf("--model", "The model that is added, and its layer.");
        var command = new Command("add", """
            Adds a model to a basis; the maps of its models stay as they are.

            Example: lrtmesh basis add --name family --model tiny-medium:3
            """) { name, model };
        var texts = new MapTextOptions(command);
        CommandRun.Set(command, run => RunAsync(run, texts, new BasisRequest { Name = run.Get(name), Add = true, Models = { run.Get(model) } }));
        return command;
    }

    private static Command Map()
    {
        var name = Name();
        var source = new Option<string>("--source") { Description = "Model that is read.", HelpName = "MODEL", Required = true };
        var target = new Option<string>("--target") { Description = "Model that is written.", HelpName = "MODEL", Required = true };
        var map = new Option<string>("--map") { Description = "Name to store the map under.", HelpName = "MAP", Required = true };
        var command = new Command("map", """
            Stores the map between two models of a basis, for transfer and the like.

            Example: lrtmesh basis map --name family --source tiny-small --target tiny-large --map small-to-large
            """) { name, source, target, map };
        CommandRun.Set(command, async run =>
        {
            await using var mesh = await run.OpenMeshAsync();
            var response = await mesh.Mapping.CreateBasisMapAsync(
                new CreateBasisMapRequest { Basis = run.Get(name), SourceModel = run.Get(source), TargetModel = run.Get(target), Map = run.Get(map) }, Mesh.Soon(run.Cancellation));
            var made = response.Map;
            run.Terminal.Out.MarkupLineInterpolated($"{made.Name}: {made.Source.Model}:{made.Source.Layer} → {made.Target.Model}:{made.Target.Layer}, [[{made.TargetWidth}, {made.SourceWidth}]], digest {Inputs.Short(made.Digest)}, held-out R² {made.Metrics.R2:0.000}");
            await run.WriteJsonAsync(new { made.Name, made.Digest, made.BasisDigest, made.Metrics.R2 });
        });
        return command;
    }

    private static async Task RunAsync(CommandRun run, MapTextOptions texts, BasisRequest basis)
    {
        var request = new CreateMapJobRequest { Basis = basis };
        texts.Fill(run, request);
        await using var mesh = await run.OpenMeshAsync();
        var job = await MapJobs.RunAsync(run.Terminal, mesh.Mapping, request, run.Cancellation);
        var made = job.Basis;
        var console = run.Terminal.Out;
        console.MarkupLineInterpolated($"{made.Name}: rank {made.Rank} over {string.Join(", ", made.Models.Select(model => $"{model.Layer.Model}:{model.Layer.Layer}"))}, from {made.Rows} tokens, digest {Inputs.Short(made.Digest)}");
        console.MarkupLineInterpolated($"agreement of its coordinates: {made.Agreement[0]:0.00} to {made.Agreement[^1]:0.00}, mean {made.Agreement.Average():0.00}");
        foreach (var pair in made.Pairs)
        {
            console.MarkupLineInterpolated($"  {pair.Source.Model} → {pair.Target.Model}: held-out R² {pair.R2Through:0.000} through the basis, {pair.R2Direct:0.000} directly");
        }

        await run.WriteJsonAsync(new
        {
            Job = job.Id,
            made.Name,
            made.Rank,
            made.Lambda,
            made.Rows,
            made.Digest,
            made.DataDigest,
            Agreement = made.Agreement.ToArray(),
            Models = made.Models.Select(model => new { model.Layer.Model, model.Layer.Layer, model.Digest, model.Founder }),
            Pairs = made.Pairs.Select(pair => new { Source = pair.Source.Model, Target = pair.Target.Model, pair.R2Through, pair.R2Direct }),
        });
    }

    private static Option<string> Name() => new("--name") { Description = "Name of the basis.", HelpName = "BASIS", Required = true };

    private static LayerRef[] ParseLayers(ArgumentResult argument)
    {
        var layers = argument.Tokens.Select(token => Inputs.Layer(token.Value)).ToArray();
        if (layers.Contains(null))
        {
            argument.AddError($"'{string.Join(' ', argument.Tokens.Select(token => token.Value))}': expected MODEL:LAYER with layers counted from 0, such as {Inputs.SmallModel}:2.");
            return [];
        }

        return [.. layers.OfType<LayerRef>()];
    }
}

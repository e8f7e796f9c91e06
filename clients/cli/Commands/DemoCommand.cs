using System.CommandLine;
using System.Diagnostics;
using Grpc.Core;
using LrtMesh.Cli.Demo;
using LrtMesh.Cli.Evaluation;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh demo</c>: the whole job over gRPC, each step explained as it is done.</summary>
internal static class DemoCommand
{
    private static readonly TimeSpan CleanUpPatience = TimeSpan.FromSeconds(8);

    private static readonly Option<string> SourceName = new("--source") { Description = "The small model, from which vectors come.", HelpName = "MODEL", DefaultValueFactory = _ => Inputs.SmallModel };

    private static readonly Option<string> TargetName = new("--target") { Description = "The large model, which is steered.", HelpName = "MODEL", DefaultValueFactory = _ => Inputs.LargeModel };

    private static readonly Option<string> Family = Inputs.Family();

    private static readonly Option<int> Prompts = new("--prompts") { Description = "Test prompts of each behaviour. More make the intervals narrower and the demo longer.", HelpName = "N", DefaultValueFactory = _ => 30 };

    private static readonly Option<ulong> Seed = new("--seed") { Description = "Seed of texts, random directions and intervals.", HelpName = "S", DefaultValueFactory = _ => 0 };

    private static readonly Option<uint> BasisRank = new("--basis-rank") { Description = "Also carry the vectors through a basis of so many coordinates that all models of the mesh share. Default: 0, none.", HelpName = "R" };

    private static readonly Option<bool> Keep = new("--keep") { Description = "With --mesh or --redis: leave the demo's vectors and maps there instead of deleting them." };

    public static Command Create()
    {
        Prompts.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1)
            {
                result.AddError("--prompts: at least 1.");
            }
        });
        var command = new Command("demo", """
            Shows the main job in about two minutes: learns behaviours in a small model, maps them to a large one, steers it,
            and measures how much of the large model's own effect is kept, beside random vectors and a map fitted on
            shuffled text. It runs in a fresh data folder, which it removes.

            Example: lrtmesh demo --json demo.json
            """)
        { SourceName, TargetName, Family, Prompts, Seed, BasisRank, Keep };
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        var clock = Stopwatch.StartNew();
        var behaviours = BehaviourSet.Load(run.Get(Family));
        string dataFolder = Directory.CreateTempSubdirectory("lrtmesh-demo-").FullName;
        try
        {
            await using var mesh = await run.OpenMeshAsync(dataFolder);
            var source = await mesh.FindModelAsync(run.Get(SourceName), run.Cancellation);
            var target = await mesh.FindModelAsync(run.Get(TargetName), run.Cancellation);
            var vectors = new PairVectors(mesh, source, target, "demo");
            try
            {
                var report = await WorkAsync(run, mesh, behaviours, source, target, vectors);
                report.PrintTable(run.Terminal.Out);
                PrintNext(run.Terminal.Out, report);
                await run.WriteJsonAsync(report.ToJson(clock.Elapsed.TotalSeconds));
            }
            finally
            {
                // The embedded store of our own mesh goes with its data folder.
                if (run.SharedStore && !run.Get(Keep))
                {
                    await CleanUpAsync(run, vectors);
                }
            }
        }
        finally
        {
            Directory.Delete(dataFolder, recursive: true);
        }
    }

    private static async Task<DemoReport> WorkAsync(CommandRun run, Mesh mesh, BehaviourSet set, LocatedModel source, LocatedModel target, PairVectors vectors)
    {
        var console = run.Terminal.Out;
        var behaviours = set.All;
        ulong seed = run.Get(Seed);
        var sampler = new Sampler(mesh.Generation, target.Model);

        // 1. The models.
        Step(console, 1, "Two models of one family", $"{Describe(source)} is where we learn; {Describe(target)} is what we steer. Vectors and maps live in {mesh.Store}.");

        // 2. The yardstick: the large model's own vectors, and on dev prompts the layers and coefficients.
        uint[] candidates = Depth.CandidateLayers(target.Model.Layers, set.Depths);
        Step(console, 2, "The yardstick: native vectors",
            $"For each of {behaviours.Count} behaviours, the mean state over texts that show it, less that over their counterparts, learnt in {target.Name} itself at layers {string.Join(", ", candidates)}. "
            + "On dev prompts we look how strongly each steers, and take the layer where its effect is largest and the coefficient at which it is half of that. "
            + "What is steered is the prompt's last token and all that are generated.");
        var natives = await run.Terminal.ProgressAsync("learning native vectors", report => vectors.LearnNativeAsync(set, candidates, report, run.Cancellation));
        var dev = new DevChoice(new Trials(sampler, new Scorer(mesh.Generation, target.Model)), target.Model, seed);
        double[][] baseline = await run.Terminal.ProgressAsync("dev prompts without steering", report => dev.BaselineAsync(behaviours, report, run.Cancellation));
        var curves = await run.Terminal.ProgressAsync("dev prompts, native vectors, growing coefficients", report => dev.CurvesAsync(behaviours, natives, baseline, report, run.Cancellation));
        var choices = await run.Terminal.ProgressAsync(
            "dev prompts at the chosen layers and coefficients",
            report => dev.ConfirmAsync(behaviours, natives, curves, baseline, report, run.Cancellation));
        uint[] targetLayers = [.. choices.Select(choice => choice.Native.Layer)];
        console.MarkupLineInterpolated($"  {choices.Count(choice => choice.Steerable)} of {behaviours.Count} behaviours are steerable; {Describe(targetLayers)}.");

        // 3. The small model's vectors.
        uint[] sourceLayers = [.. targetLayers.Select(layer => Depth.Same(layer, target.Model.Layers, source.Model.Layers))];
        Step(console, 3, "Learn small", $"The same contrast pairs, now in {source.Name} alone, each at the layer of the same relative depth.");
        var learnt = await run.Terminal.ProgressAsync("learning in the small model", report => vectors.LearnSourceAsync(set, sourceLayers, report, run.Cancellation));
        console.MarkupLineInterpolated($"  {learnt.Length} vectors; told apart by them, pairs held out have a mean AUC of {learnt.Average(vector => vector.Auc):0.00}.");

        // 4. The maps.
        var mapText = set.MapDocuments(MapText.InDistribution);
        Step(console, 4, "The maps",
            $"Both models read the same text. For each pair of layers, ridge regression finds y ≈ A·x + b between their mean states over runs of {mapText.Window} tokens (the vectors are means over tokens, too), and each vector v becomes A·v. "
            + $"Controls: maps fitted on pairs from different documents, and {TestRun.RandomDirections} random directions. All are added with the same length.");
        var request = vectors.MapRequest(targetLayers, mapText);
        var job = await MapJobs.RunAsync(run.Terminal, mesh.Mapping, request, run.Cancellation);
        AffineMap[] maps = [.. job.Maps.Where(map => !map.Shuffled)];
        foreach (var map in maps)
        {
            console.MarkupLineInterpolated($"  layer {map.Source.Layer} → {map.Target.Layer}: {map.Metrics.SourceTokens} tokens of {request.Documents.Count} documents; on documents held out R² {map.Metrics.R2:0.000}, cosine {map.Metrics.Cosine:0.000}; λ {map.Metrics.Lambda:0.#e+0}.");
        }

        Vector[] sourceVectors = [.. learnt.Select(vector => vector.Vector)];
        if (run.Get(BasisRank) is > 0 and var rank)
        {
            var models = (await mesh.ListModelsAsync(run.Cancellation)).DistinctBy(model => model.Name);
            foreach (uint layer in targetLayers.Distinct())
            {
                var layers = models.Select(model => new LayerRef { Model = model.Name, Layer = Depth.Same(layer, target.Model.Layers, model.Model.Layers) }).ToArray();
                var through = await vectors.MapThroughBasisAsync(run.Terminal, layers, layer, rank, request, run.Cancellation);
                console.MarkupLineInterpolated($"  through a basis of rank {rank} over {string.Join(", ", layers.Select(l => $"{l.Model}:{l.Layer}"))}: layer {through.Source.Layer} → {through.Target.Layer}, R² {through.Metrics.R2:0.000}.");
            }
        }

        var arms = new ArmVectors(
            await vectors.TransferAsync(sourceVectors, targetLayers, "", run.Cancellation),
            await vectors.TransferAsync(sourceVectors, targetLayers, ".shuffled", run.Cancellation),
            await vectors.PutRandomAsync(TestRun.RandomDirections, seed, run.Cancellation),
            run.Get(BasisRank) > 0 ? await vectors.TransferAsync(sourceVectors, targetLayers, ".basis", run.Cancellation) : null);
        console.MarkupLineInterpolated($"  {sourceVectors.Length} vectors of width {source.Model.Width} became vectors of width {target.Model.Width}.");

        // 5. The test.
        Step(console, 5, "The test", "Prompts that nothing was learnt or chosen on, continued under each arm with the same random numbers:");
        var results = await run.Terminal.ProgressAsync(
            "test prompts under all arms",
            report => TestRun.RunAsync(sampler, choices, arms, run.Get(Prompts), seed, report, run.Cancellation));
        var pooled = PooledShares.Of(results, (int)(seed & int.MaxValue));
        var found = new DemoReport(source, target, maps, results, pooled, set.Digest, mapText.Digest, seed, mesh.Store, sampler.Generated);
        found.PrintSamples(console);
        return found;
    }

    private static void Step(IAnsiConsole console, int number, string title, string explanation)
    {
        console.WriteLine();
        console.MarkupLineInterpolated($"[bold]{number}. {title}[/]");
        console.Write(new Padder(new Text(explanation)).Padding(3, 0, 0, 0));
    }

    private static string Describe(LocatedModel model) => $"{model.Name} ({model.Model.Parameters / 1e6:0.0}M parameters, {model.Model.Layers} layers of width {model.Model.Width})";

    private static string Describe(uint[] targetLayers) =>
        string.Join(", ", targetLayers.GroupBy(layer => layer).OrderBy(group => group.Key).Select(group => $"{group.Count()} at layer {group.Key}"));

    private static void PrintNext(IAnsiConsole console, DemoReport report)
    {
        var example = report.Results.Where(result => result.Choice.Steerable).MaxBy(result => result.Choice.Effect)?.Choice ?? report.Results[0].Choice;
        string name = example.Behaviour.Name;
        uint layer = example.Native.Layer;
        uint sourceLayer = Depth.Same(layer, report.Target.Model.Layers, report.Source.Model.Layers);
        console.WriteLine();
        console.MarkupLine("[bold]Now you[/] (vectors and maps made by these stay in .lrtmesh/):");
        console.MarkupLineInterpolated($"  ./lrtmesh learn --name {name} --model {report.Source.Name} --layer {sourceLayer} --behaviour {name} --position mean");
        console.MarkupLineInterpolated($"  ./lrtmesh train-map --name small-to-large --source {report.Source.Name}:{sourceLayer} --target {report.Target.Name}:{layer} --window {PairVectors.MapWindow}");
        console.MarkupLineInterpolated($"  ./lrtmesh transfer --vector {name} --map small-to-large --name {name}-large");
        console.MarkupLineInterpolated($"  ./lrtmesh generate --model {report.Target.Name} --vector {name}-large --coefficient {example.Coefficient:G3} \"{report.Results[0].Prompts[0].ReplaceLineEndings(" ").Replace("\"", "\\\"", StringComparison.Ordinal)}\"");
    }

    private static async Task CleanUpAsync(CommandRun run, PairVectors vectors)
    {
        // Not the command's own token: what was made goes also after Ctrl+C.
        using var patience = new CancellationTokenSource(CleanUpPatience);
        try
        {
            await vectors.DeleteAllAsync(patience.Token);
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            run.Terminal.Note($"Vectors and maps named {vectors.Prefix} could not be deleted from this mesh: {e.Message}");
        }
    }
}

using System.CommandLine;
using System.Diagnostics;
using Grpc.Core;
using LrtMesh.Cli.Demo;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh demo</c>: the whole job over gRPC, each step explained as it is done.</summary>
internal static class DemoCommand
{
    // Of the large model's depth: models as small as these fetch what a text has shown so far in their later blocks.
    private static readonly double[] CandidateDepths = [0.8, 1.0];

    // Of the texts that ship: some 85,000 tokens, many times the width of what is fitted.
    private const int MapDocuments = 400;

    private static readonly TimeSpan CleanUpPatience = TimeSpan.FromSeconds(8);

    private static readonly Option<string> SourceName = new("--source") { Description = "The small model, from which vectors come.", HelpName = "MODEL", DefaultValueFactory = _ => Inputs.SmallModel };

    private static readonly Option<string> TargetName = new("--target") { Description = "The large model, which is steered.", HelpName = "MODEL", DefaultValueFactory = _ => Inputs.LargeModel };

    private static readonly Option<string> Family = Inputs.Family();

    private static readonly Option<int> Prompts = new("--prompts") { Description = "Test prompts of each behaviour. More make the intervals narrower and the demo longer.", HelpName = "N", DefaultValueFactory = _ => 25 };

    private static readonly Option<ulong> Seed = new("--seed") { Description = "Seed of texts, random directions and intervals.", HelpName = "S", DefaultValueFactory = _ => 0 };

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
        { SourceName, TargetName, Family, Prompts, Seed, Keep };
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
            var vectors = new DemoVectors(mesh, source, target);
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

    private static async Task<DemoReport> WorkAsync(CommandRun run, Mesh mesh, BehaviourSet set, LocatedModel source, LocatedModel target, DemoVectors vectors)
    {
        var console = run.Terminal.Out;
        var behaviours = set.All;
        ulong seed = run.Get(Seed);
        var sampler = new Sampler(mesh.Generation, target.Name);

        // 1. The models.
        Step(console, 1, "Two models of one family", $"{Describe(source)} is where we learn; {Describe(target)} is what we steer. Vectors and maps live in {mesh.Store}.");

        // 2. The yardstick: the large model's own vectors, and on dev prompts the layer and coefficients.
        uint[] candidates = CandidateLayers(target.Model.Layers);
        Step(console, 2, "The yardstick: native vectors",
            $"For each of {behaviours.Count} behaviours, the mean state over texts that show it, less that over their counterparts, learnt in {target.Name} itself at layers {string.Join(", ", candidates)}. "
            + "On dev prompts we look how strongly each steers, and take the coefficient at which its effect is half of its largest.");
        var natives = await run.Terminal.ProgressAsync("learning native vectors", report => vectors.LearnNativeAsync(behaviours, candidates, report, run.Cancellation));
        var dev = new DevChoice(sampler, seed);
        double[][] baseline = await run.Terminal.ProgressAsync("dev prompts without steering", report => dev.BaselineAsync(behaviours, report, run.Cancellation));
        var curves = await run.Terminal.ProgressAsync("dev prompts, native vectors, growing coefficients", report => dev.CurvesAsync(behaviours, natives, baseline, report, run.Cancellation));
        int best = DevChoice.BestLayer(curves);
        uint targetLayer = candidates[best];
        var choices = await run.Terminal.ProgressAsync(
            "dev prompts at the chosen coefficients",
            report => dev.ConfirmAsync(behaviours, [.. natives.Select(byLayer => byLayer[best])], [.. curves.Select(byLayer => byLayer[best])], baseline, report, run.Cancellation));
        console.MarkupLineInterpolated($"  layer {targetLayer} steers best; {choices.Count(choice => choice.Steerable)} of {behaviours.Count} behaviours are steerable there.");

        // 3. The small model's vectors.
        Step(console, 3, "Learn small",
            $"The same contrast pairs, now in {source.Name} alone, at all of its layers. We take the layer at which the vectors are longest beside the hidden states.");
        var learnt = await run.Terminal.ProgressAsync("learning in the small model", report => vectors.LearnSourceAsync(behaviours, source.Model.Layers, report, run.Cancellation));
        uint sourceLayer = MostDistinctLayer(learnt);
        Vector[] sourceVectors = [.. learnt.Select(byLayer => byLayer[sourceLayer].Vector)];
        console.MarkupLineInterpolated($"  layer {sourceLayer}: {Distinctness(learnt, (int)sourceLayer):0%} of the hidden states' length, the mean of {behaviours.Count} behaviours.");

        // 4. The map.
        string mapText = set.MapTextPath(MapText.InDistribution);
        Step(console, 4, "The map",
            $"Both models read the same text. Ridge regression finds y ≈ A·x + b from layer {sourceLayer} of {source.Name} to layer {targetLayer} of {target.Name}, and each vector v becomes A·v. "
            + $"Controls: a second map, fitted on pairs from different documents, and {TestRun.RandomDirections} random directions. All are added with the same length.");
        var request = MapJobs.Request(
            vectors.MapName,
            new LayerRef { Model = source.Name, Layer = sourceLayer },
            new LayerRef { Model = target.Name, Layer = targetLayer },
            TextFiles.ReadDocuments(mapText).Take(MapDocuments),
            new FitOptions { ShuffledControl = true });
        var job = await run.Terminal.ProgressAsync(
            "reading text in both models",
            report => MapJobs.RunAsync(mesh.Mapping, request, job => report((long)job.DocumentsDone, (long)job.DocumentsTotal), run.Cancellation));
        var map = job.Result;
        console.MarkupLineInterpolated($"  {map.Metrics.Rows + map.Metrics.HeldOutRows} tokens of {request.Documents.Count} documents; on documents held out R² {map.Metrics.R2:0.000}, cosine {map.Metrics.Cosine:0.000}; λ {map.Metrics.Lambda:0.#e+0}.");
        var arms = new ArmVectors(
            await vectors.TransferAsync(sourceVectors, shuffled: false, run.Cancellation),
            await vectors.TransferAsync(sourceVectors, shuffled: true, run.Cancellation),
            await vectors.PutRandomAsync(TestRun.RandomDirections, targetLayer, seed, run.Cancellation));
        console.MarkupLineInterpolated($"  {sourceVectors.Length} vectors of width {source.Model.Width} became vectors of width {target.Model.Width}.");

        // 5. The test.
        Step(console, 5, "The test", "Prompts that nothing was learnt or chosen on, continued under each arm with the same random numbers:");
        var results = await run.Terminal.ProgressAsync(
            "test prompts under all arms",
            report => TestRun.RunAsync(sampler, choices, arms, run.Get(Prompts), seed, report, run.Cancellation));
        var pooled = PooledShares.Of(results, (int)(seed & int.MaxValue));
        var found = new DemoReport(source, sourceLayer, target, targetLayer, map, results, pooled, set.Digest, BehaviourSet.DigestOf(mapText), seed, mesh.Store, sampler.Generated);
        found.PrintSamples(console);
        return found;
    }

    /// <summary>The layer at which the vectors are longest beside the hidden states, in the mean over behaviours.</summary>
    /// <param name="learnt">[behaviour][layer].</param>
    internal static uint MostDistinctLayer(LearntVector[][] learnt) =>
        (uint)Enumerable.Range(0, learnt[0].Length).MaxBy(layer => Distinctness(learnt, layer));

    private static double Distinctness(LearntVector[][] learnt, int layer) =>
        learnt.Average(byLayer => byLayer[layer].Vector.Norm / byLayer[layer].MeanHiddenNorm);

    /// <summary>A few layers of the large model among which dev prompts decide.</summary>
    internal static uint[] CandidateLayers(uint layers) =>
        [.. CandidateDepths.Select(depth => (uint)Math.Round(depth * (layers - 1), MidpointRounding.AwayFromZero)).Distinct()];

    private static void Step(IAnsiConsole console, int number, string title, string explanation)
    {
        console.WriteLine();
        console.MarkupLineInterpolated($"[bold]{number}. {title}[/]");
        console.Write(new Padder(new Text(explanation)).Padding(3, 0, 0, 0));
    }

    private static string Describe(LocatedModel model) => $"{model.Name} ({model.Model.Parameters / 1e6:0.0}M parameters, {model.Model.Layers} layers of width {model.Model.Width})";

    private static void PrintNext(IAnsiConsole console, DemoReport report)
    {
        var example = report.Results.Where(result => result.Choice.Steerable).MaxBy(result => result.Choice.Effect)?.Choice ?? report.Results[0].Choice;
        string name = example.Behaviour.Name;
        console.WriteLine();
        console.MarkupLine("[bold]Now you[/] (vectors and maps made by these stay in .lrtmesh/):");
        console.MarkupLineInterpolated($"  ./lrtmesh learn --name {name} --model {report.Source.Name} --layer {report.SourceLayer} --behaviour {name}");
        console.MarkupLineInterpolated($"  ./lrtmesh train-map --name small-to-large --source {report.Source.Name}:{report.SourceLayer} --target {report.Target.Name}:{report.TargetLayer}");
        console.MarkupLineInterpolated($"  ./lrtmesh transfer --vector {name} --map small-to-large --name {name}-large");
        console.MarkupLineInterpolated($"  ./lrtmesh generate --model {report.Target.Name} --vector {name}-large --coefficient {example.Coefficient:G3} \"{report.Results[0].Prompts[0].ReplaceLineEndings(" ").Replace("\"", "\\\"", StringComparison.Ordinal)}\"");
    }

    private static async Task CleanUpAsync(CommandRun run, DemoVectors vectors)
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

using System.CommandLine;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh train-map</c>: an affine map from a layer of one model to a layer of another.</summary>
internal static class TrainMapCommand
{
    private static readonly Option<string> MapName = new("--name") { Description = "Name to store the map under.", HelpName = "MAP", Required = true };

    private static readonly Option<LayerRef> Source = Inputs.LayerOf("--source", "Where the map starts: a model and a layer, such as tiny-small:2.");

    private static readonly Option<LayerRef> Target = Inputs.LayerOf("--target", "Where the map ends, such as tiny-large:4.");

    private static readonly Option<string?> TextFile = new("--file") { Description = "Texts to read in both models: .txt with one document on each line, or .jsonl with {\"text\": ...} or {\"messages\": [...]}.", HelpName = "FILE" };

    private static readonly Option<string?> FamilyText = new("--family-text") { Description = "Which text of the family to use instead of --file. Default: in-distribution.", HelpName = "in-distribution|behaviour-free" };

    private static readonly Option<string> Family = Inputs.Family();

    private static readonly Option<double?> Lambda = new("--lambda") { Description = "Ridge penalty, relative to the mean variance of the source. Default: chosen by cross-validation.", HelpName = "X" };

    private static readonly Option<uint> Folds = new("--folds") { Description = "Folds of documents; the last is held out of the fit and gives the metrics. Default: 5.", HelpName = "K" };

    private static readonly Option<bool> ShuffledControl = new("--shuffled-control") { Description = "Also fit a control, MAP.shuffled, on rows paired with those of other documents." };

    public static Command Create()
    {
        FamilyText.AcceptOnlyFromAmong("in-distribution", "behaviour-free");
        var command = new Command("train-map", """
            Fits an affine map between the hidden states of two models, as both read the same neutral text: ridge
            regression in closed form. R² and cosine are of documents that the fit never saw. Ctrl+C cancels the job.

            Example: lrtmesh train-map --name small-to-large --source tiny-small:2 --target tiny-large:4
            """)
        { MapName, Source, Target, TextFile, FamilyText, Family, Lambda, Folds, ShuffledControl };
        command.Validators.Add(result =>
        {
            if (result.GetValue(TextFile) is not null && result.GetValue(FamilyText) is not null)
            {
                result.AddError("Give the texts once: either --file FILE or --family-text.");
            }
        });
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        string texts = run.Parse.GetValue(TextFile) ?? BehaviourSet.MapTextPath(
            run.Get(Family), run.Parse.GetValue(FamilyText) == "behaviour-free" ? MapText.BehaviourFree : MapText.InDistribution);
        var fit = new FitOptions { Folds = run.Get(Folds), ShuffledControl = run.Get(ShuffledControl) };
        if (run.Parse.GetValue(Lambda) is { } lambda)
        {
            fit.Lambda = lambda;
        }

        var request = MapJobs.Request(run.Get(MapName), run.Get(Source), run.Get(Target), TextFiles.ReadDocuments(texts), fit);
        await using var mesh = await run.OpenMeshAsync();
        var map = await run.Terminal.ProgressAsync(
            $"reading {request.Documents.Count} documents in both models",
            report => MapJobs.RunAsync(mesh.Mapping, request, job => report((long)job.DocumentsDone, (long)job.DocumentsTotal), run.Cancellation));

        run.Terminal.Out.MarkupLineInterpolated($"{map.Name}: {map.Source.Model}:{map.Source.Layer} → {map.Target.Model}:{map.Target.Layer}, [[{map.TargetWidth}, {map.SourceWidth}]], digest {Inputs.Short(map.Digest)}");
        run.Terminal.Out.MarkupLineInterpolated($"fitted on {map.Metrics.Rows} tokens, measured on {map.Metrics.HeldOutRows} held out: R² {map.Metrics.R2:0.000}, cosine {map.Metrics.Cosine:0.000}");
        run.Terminal.Out.MarkupLineInterpolated($"λ {map.Metrics.Lambda:0.###e+0}, {Seconds(map.Metrics.FitTime):0.0} s in all, {Seconds(map.Metrics.SolveTime):0.00} s to solve");
        await run.WriteJsonAsync(new
        {
            map.Name,
            Source = new { map.Source.Model, map.Source.Layer, Digest = map.SourceDigest },
            Target = new { map.Target.Model, map.Target.Layer, Digest = map.TargetDigest },
            map.Metrics.Rows,
            map.Metrics.HeldOutRows,
            map.Metrics.R2,
            map.Metrics.Cosine,
            map.Metrics.Lambda,
            FitSeconds = Seconds(map.Metrics.FitTime),
            SolveSeconds = Seconds(map.Metrics.SolveTime),
            map.Digest,
            map.DataDigest,
            Control = fit.ShuffledControl ? $"{map.Name}.shuffled" : null,
        });
    }

    private static double Seconds(Google.Protobuf.WellKnownTypes.Duration? duration) => duration?.ToTimeSpan().TotalSeconds ?? 0;
}

using System.CommandLine;
using System.CommandLine.Parsing;
using Google.Protobuf.Collections;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh train-map</c>: an affine map from a layer of one model to a layer of another.</summary>
internal static class TrainMapCommand
{
    private static readonly Option<string> MapName = new("--name") { Description = "Name to store the map under.", HelpName = "MAP", Required = true };

    private static readonly Option<LayerRef> Source = Inputs.LayerOf("--source", "Where the map starts: a model and a layer, such as tiny-small:2.");

    private static readonly Option<LayerRef> Target = Inputs.LayerOf("--target", "Where the map ends, such as tiny-large:4.");

    private static readonly Option<double?> Lambda = new("--lambda") { Description = "Ridge penalty, relative to the mean variance of the source. Default: chosen by cross-validation.", HelpName = "X" };

    private static readonly Option<uint> Folds = new("--folds") { Description = "Folds of documents; the last is held out of the fit and gives the metrics. Default: 5.", HelpName = "K" };

    private static readonly Option<bool> ShuffledControl = new("--shuffled-control") { Description = "Also fit a control, MAP.shuffled, on rows paired with those of other documents." };

    private static readonly Option<string> Solver = Inputs.Choice(
        "--solver", "How the map is found: in closed form, or, to compare with the paper, by AdamW over minibatches.", "ridge", "least-squares", "reduced-rank", "procrustes", "adamw");

    private static readonly Option<uint> Rank = new("--rank") { Description = "For reduced-rank: the rank.", HelpName = "R" };

    private static readonly Option<double> KeptVariance = new("--kept-variance") { Description = "For reduced-rank, instead of --rank: share of the fitted variance to keep, such as 0.99.", HelpName = "X" };

    private static readonly Option<bool> Standardize = new("--standardize") { Description = "For ridge and reduced-rank: penalize each dimension of the source by its own variance." };

    private static readonly Option<bool> MapBack = new("--map-back") { Description = "Also fit the map from target to source, MAP.back." };

    private static readonly Option<double> LearningRate = new("--learning-rate") { Description = "For adamw. Default: 1e-4, the paper's for base models.", HelpName = "X" };

    private static readonly Option<uint> Window = new("--window")
    {
        Description = "Fit on means over runs of about N tokens: for vectors that are means over tokens (learn --position mean). Default: single tokens.",
        HelpName = "N",
    };

    private static readonly Option<MapPair[]> Also = new("--also")
    {
        Description = "A further map from the same pass, any number of times, such as deeper=tiny-small:3,tiny-large:6.",
        HelpName = "MAP=MODEL:LAYER,MODEL:LAYER",
        CustomParser = ParsePairs,
    };

    private static readonly Option<bool> StitchedLoss = new("--stitched-loss")
    {
        Description = "Also run the target model on from mapped states of held-out text: its next-token loss beside its own and from the mean state.",
    };

    private static readonly Option<bool> KeepMoments = new("--keep-moments") { Description = "Keep the job's moments for 7 days, for --moments-of." };

    private static readonly Option<string[]> MomentsOf = new("--moments-of")
    {
        Description = "Read no texts; add up what these jobs gathered, of the same layers, with --keep-moments.",
        HelpName = "JOB",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<FileInfo?> Png = new("--png") { Description = "Write held-out R² by dimension of every map of the job as a PNG picture.", HelpName = "FILE" };

    private static readonly Option<FileInfo?> Svg = new("--svg") { Description = "The same as an SVG picture.", HelpName = "FILE" };

    public static Command Create()
    {
        var command = new Command("train-map", """
            Fits an affine map between the hidden states of two models, as both read the same neutral text. All metrics
            are of documents that the fit never saw. Models of different tokenizers pair where their tokens end alike,
            and chats of different templates within each message's content.
            Ctrl+C cancels the job.

            Example: lrtmesh train-map --name small-to-large --source tiny-small:2 --target tiny-large:4
            """)
        {
            MapName, Source, Target, Solver, Lambda, Rank, KeptVariance, Standardize, LearningRate, Window, Folds, ShuffledControl, MapBack,
            Also, StitchedLoss, KeepMoments, MomentsOf, Png, Svg,
        };
        var texts = new MapTextOptions(command);
        CommandRun.Set(command, run => RunAsync(run, texts));
        return command;
    }

    private static async Task RunAsync(CommandRun run, MapTextOptions texts)
    {
        var request = Request(run);
        if (request.MomentsOf.Count == 0)
        {
            texts.Fill(run, request);
        }

        await using var mesh = await run.OpenMeshAsync();
        var job = await MapJobs.RunAsync(run.Terminal, mesh.Mapping, request, run.Cancellation);
        foreach (var map in job.Maps)
        {
            Print(run.Terminal.Out, map, map.Name == job.Result.Name ? job.Result.Metrics.R2PerDimension : []);
        }

        if (run.Parse.GetValue(Png) is not null || run.Parse.GetValue(Svg) is not null)
        {
            await PlotAsync(run, mesh, job);
        }

        if (request.KeepMoments)
        {
            run.Terminal.Out.MarkupLineInterpolated($"moments are kept for 7 days: --moments-of {job.Id}");
        }

        var first = job.Result;
        await run.WriteJsonAsync(new
        {
            Job = job.Id,
            first.Name,
            Source = new { first.Source.Model, first.Source.Layer, Digest = first.SourceDigest },
            Target = new { first.Target.Model, first.Target.Layer, Digest = first.TargetDigest },
            first.Metrics.Rows,
            first.Metrics.HeldOutRows,
            first.Metrics.R2,
            first.Metrics.Cosine,
            first.Metrics.Lambda,
            FitSeconds = Seconds(first.Metrics.FitTime),
            SolveSeconds = Seconds(first.Metrics.SolveTime),
            first.Digest,
            first.DataDigest,
            Control = request.Fit.ShuffledControl ? $"{first.Name}.shuffled" : null,
            first.Metrics.R2PerDimension,
            Maps = job.Maps.Select(Facts),
        });
    }

    private static CreateMapJobRequest Request(CommandRun run)
    {
        var fit = new FitOptions
        {
            Folds = run.Get(Folds),
            ShuffledControl = run.Get(ShuffledControl),
            MapBack = run.Get(MapBack),
            Solver = run.Get(Solver) switch
            {
                "least-squares" => MapSolver.LeastSquares,
                "reduced-rank" => MapSolver.ReducedRank,
                "procrustes" => MapSolver.Procrustes,
                "adamw" => MapSolver.Adamw,
                _ => MapSolver.Ridge,
            },
            Rank = run.Get(Rank),
            KeptVariance = run.Get(KeptVariance),
            Standardize = run.Get(Standardize),
            LearningRate = run.Get(LearningRate),
            Window = run.Get(Window),
            StitchedLoss = run.Get(StitchedLoss),
        };
        if (run.Parse.GetValue(Lambda) is { } lambda)
        {
            fit.Lambda = lambda;
        }

        return new CreateMapJobRequest
        {
            Map = run.Get(MapName),
            Source = run.Get(Source),
            Target = run.Get(Target),
            Fit = fit,
            More = { run.Parse.GetValue(Also) ?? [] },
            KeepMoments = run.Get(KeepMoments),
            MomentsOf = { run.Parse.GetValue(MomentsOf) ?? [] },
        };
    }

    /// <summary>A job's maps lack the metrics of single dimensions, which each map by itself has.</summary>
    private static async Task PlotAsync(CommandRun run, Mesh mesh, MapJob job)
    {
        var maps = new List<AffineMap>();
        foreach (var map in job.Maps)
        {
            maps.Add((await mesh.Mapping.GetMapAsync(new GetMapRequest { Name = map.Name }, Mesh.Soon(run.Cancellation))).Map);
        }

        var plot = DimensionPlot.Plot(maps);
        if (run.Parse.GetValue(Png) is { } png)
        {
            plot.SavePng(png.FullName, DimensionPlot.PixelWidth, DimensionPlot.PixelHeight);
        }

        if (run.Parse.GetValue(Svg) is { } svg)
        {
            plot.SaveSvg(svg.FullName, DimensionPlot.PixelWidth, DimensionPlot.PixelHeight);
        }
    }

    private static void Print(IAnsiConsole console, AffineMap map, RepeatedField<float> r2PerDimension)
    {
        var m = map.Metrics;
        string rows = m.Window > 1 ? $"windows of {m.Window} tokens" : "tokens";
        console.MarkupLineInterpolated($"{map.Name}: {map.Source.Model}:{map.Source.Layer} → {map.Target.Model}:{map.Target.Layer}, [[{map.TargetWidth}, {map.SourceWidth}]], digest {Inputs.Short(map.Digest)}");
        console.MarkupLineInterpolated($"  {Words(m.Solver)}{(m.Standardized ? ", standardized" : "")}, rank {m.Rank}, λ {m.Lambda:0.###e+0}, fitted on {m.Rows} {rows}; {Seconds(m.FitTime):0.0} s in all, {Seconds(m.SolveTime):0.00} s to solve");
        console.MarkupLineInterpolated($"  on {m.HeldOutRows} {rows} held out: R² {m.R2:0.000} ({m.R2WithoutLargest:0.000} without the {m.LargestDimensions.Count} largest dimensions), cosine {m.Cosine:0.000}, relative error {m.RelativeError:0.000}");
        if (r2PerDimension.Count > 0)
        {
            console.MarkupLineInterpolated($"  R² by dimension: {DimensionPlot.Line(r2PerDimension)}");
        }

        console.MarkupLineInterpolated($"  the layers: SVCCA {m.Svcca:0.000}, CKA {m.Cka:0.000}; condition number of the map {m.ConditionNumber:0.##e+0}, of the source {m.SourceConditionNumber:0.##e+0}");
        if (m.ConstantDimensions > 0)
        {
            console.MarkupLineInterpolated($"  {m.ConstantDimensions} dimensions of the source never vary and are ignored");
        }

        if (m.PairedTokens < m.SourceTokens || m.PairedTokens < m.TargetTokens)
        {
            console.MarkupLineInterpolated($"  paired {(double)m.PairedTokens / m.SourceTokens:0.0%} of the source's tokens and {(double)m.PairedTokens / m.TargetTokens:0.0%} of the target's");
        }

        if (m.StitchedLoss is { } loss)
        {
            console.MarkupLineInterpolated($"  run on at {loss.Tokens} held-out positions, next-token loss: {loss.Stitched:0.000} from mapped states, {loss.Native:0.000} from its own, {loss.MeanAblated:0.000} from their mean");
        }

        if (!m.Converged)
        {
            console.MarkupLineInterpolated($"  [yellow]stopped after {m.Iterations} steps while the error still fell[/]");
        }
    }

    private static object Facts(AffineMap map) => new
    {
        map.Name,
        Source = $"{map.Source.Model}:{map.Source.Layer}",
        Target = $"{map.Target.Model}:{map.Target.Layer}",
        map.Shuffled,
        map.Digest,
        Solver = Words(map.Metrics.Solver),
        map.Metrics.Standardized,
        map.Metrics.R2,
        map.Metrics.R2WithoutLargest,
        LargestDimensions = map.Metrics.LargestDimensions.ToArray(),
        map.Metrics.Cosine,
        map.Metrics.RelativeError,
        map.Metrics.Lambda,
        map.Metrics.Svcca,
        map.Metrics.Cka,
        ConditionNumber = Finite(map.Metrics.ConditionNumber),
        SourceConditionNumber = Finite(map.Metrics.SourceConditionNumber),
        map.Metrics.Rank,
        map.Metrics.ConstantDimensions,
        map.Metrics.Converged,
        map.Metrics.Window,
        map.Metrics.PairedTokens,
        map.Metrics.SourceTokens,
        map.Metrics.TargetTokens,
        map.Metrics.LeftOutMessages,
        StitchedLoss = map.Metrics.StitchedLoss is { } loss ? new { loss.Tokens, loss.Native, loss.Stitched, loss.MeanAblated } : null,
        SolveSeconds = Seconds(map.Metrics.SolveTime),
    };

    private static string Words(MapSolver solver) => solver switch
    {
        MapSolver.LeastSquares => "least squares",
        MapSolver.ReducedRank => "reduced rank",
        MapSolver.Procrustes => "Procrustes",
        MapSolver.Adamw => "AdamW",
        _ => "ridge",
    };

    /// <summary>JSON has no infinity.</summary>
    private static double? Finite(double value) => double.IsFinite(value) ? value : null;

    private static MapPair[] ParsePairs(ArgumentResult argument)
    {
        var pairs = new List<MapPair>();
        foreach (var token in argument.Tokens)
        {
            int equals = token.Value.IndexOf('=', StringComparison.Ordinal);
            var ends = token.Value[(equals + 1)..].Split(',');
            if (equals < 1 || ends.Length != 2 || Inputs.Layer(ends[0]) is not { } source || Inputs.Layer(ends[1]) is not { } target)
            {
                argument.AddError($"'{token.Value}': expected MAP=MODEL:LAYER,MODEL:LAYER, such as deeper=tiny-small:3,tiny-large:6.");
                return [];
            }

            pairs.Add(new MapPair { Map = token.Value[..equals], Source = source, Target = target });
        }

        return [.. pairs];
    }

    private static double Seconds(Google.Protobuf.WellKnownTypes.Duration? duration) => duration?.ToTimeSpan().TotalSeconds ?? 0;
}

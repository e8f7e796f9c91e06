using System.CommandLine;
using System.Diagnostics;
using System.Reflection;
using Grpc.Core;
using LrtMesh.Cli.Evaluation;
using LrtMesh.Cli.Report;
using ScottPlot;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh evaluate</c>: how much of an effect transfers, with controls, intervals and pictures.</summary>
internal static class EvaluateCommand
{
    private static readonly TimeSpan CleanUpPatience = TimeSpan.FromSeconds(8);

    private static readonly Option<string> ReportFolder = new("--report") { Description = "Folder for the page index.html, its figures and tables, and the answers so far: the same command goes on from there.", HelpName = "DIR", Required = true };

    private static readonly Option<string> Family = Inputs.Family();

    private static readonly Option<string?> SourceName = new("--source") { Description = "Evaluate this pair alone: the small model, from which vectors come; a name that the mesh holds, or a checkpoint as NAME=FOLDER or, of the local Hugging Face cache, NAME=ORGANISATION/MODEL. Default: the pairs of the family.", HelpName = "MODEL" };

    private static readonly Option<string?> TargetName = new("--target") { Description = "With --source: the large model, which is steered; likewise.", HelpName = "MODEL" };

    private static readonly Option<string> Kind = Inputs.Choice("--kind", "With --source and --target: how the two differ beside their size.", ModelPair.Kinds);

    private static readonly Option<string?> Brought = new("--behaviours") { Description = "Your own behaviours, as items of multiple choice: a .jsonl file, a folder of them, or a folder with generate/ and test/. Needs --source, --target and --map-text.", HelpName = "PATH" };

    private static readonly Option<string?> MapTextFile = new("--map-text") { Description = "With --behaviours: documents that have nothing to do with them, for the behaviour-free map and for what steering costs; one a line, or .jsonl.", HelpName = "FILE" };

    private static readonly Option<bool> Quick = new("--quick") { Description = "Few prompts: minutes, and wide intervals." };

    private static readonly Option<bool> WithSweeps = new("--sweeps") { Description = "Also vary, for the first pair, one thing at a time: coefficient, layers, the map's text, solver, bias, positions, the vector's method, sizes." };

    private static readonly Option<ulong> Seed = new("--seed") { Description = "Seed of texts, random directions and intervals.", HelpName = "S", DefaultValueFactory = _ => 0 };

    public static Command Create()
    {
        var command = new Command("evaluate", """
            Measures how much of a steering vector's effect arrives in another model: behaviour rates, propensities, their slopes and
            the cost, under native, mapped, random and shuffled vectors and a prompt, for maps fitted on two kinds of text; and writes a page
            about it. It works in a fresh data folder, which it removes; what it has asked the models is kept with the report, so that the
            same command goes on where it was cut off.

            Items of --behaviours have "question", "answer_matching_behavior" and "answer_not_matching_behavior" (model-written evaluations; a list of them in
            generate/NAME/*.json and test/NAME/*_ab.json: contrastive activation addition), or "prompt", "positive" and "negative", or "positive" and
            "negative" alone, which begin alike. Models with a chat template are asked through it.

            Example: lrtmesh evaluate --report report --json evaluation.json
            Example: lrtmesh evaluate --source small=DIR --target large=DIR --behaviours evals/ --map-text texts.jsonl --report report
            """)
        { ReportFolder, Family, SourceName, TargetName, Kind, Brought, MapTextFile, Quick, WithSweeps, Seed };
        command.Validators.Add(result =>
        {
            if (result.GetValue(SourceName) is null != result.GetValue(TargetName) is null)
            {
                result.AddError("--source and --target go together.");
            }

            if (result.GetValue(Brought) is not null && (result.GetValue(SourceName) is null || result.GetValue(MapTextFile) is null))
            {
                result.AddError("--behaviours needs --source and --target, the models, and --map-text, documents for maps.");
            }

            if (result.GetValue(MapTextFile) is not null && result.GetValue(Brought) is null)
            {
                result.AddError("--map-text goes with --behaviours; the family has texts of its own.");
            }
        });
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        var clock = Stopwatch.StartNew();
        string family = run.Get(Family);
        var set = run.Parse.GetValue(Brought) is { } brought ? BroughtBehaviours.Read(brought, run.Parse.GetValue(MapTextFile)!, run.Terminal.Note) : BehaviourSet.Load(family);
        var pairs = Pairs(run, family);
        var sizes = run.Get(WithSweeps) ? Sizes(run, family, pairs[0]) : [];
        string folder = Directory.CreateDirectory(run.Get(ReportFolder)).FullName;
        string dataFolder = Directory.CreateTempSubdirectory("lrtmesh-evaluate-").FullName;
        try
        {
            using var log = new AnswerLog(Path.Combine(folder, "answers.log"));
            await using var mesh = await run.OpenMeshAsync(dataFolder, ModelPair.MeshOptions([.. pairs, .. sizes]));
            if (set.Brought)
            {
                LocatedModel[] models = [await mesh.FindModelAsync(pairs[0].Source, run.Cancellation), await mesh.FindModelAsync(pairs[0].Target, run.Cancellation)];
                set = await ContextFit.KeepAsync(set, models, run.Terminal.Note, run.Cancellation);
            }

            var (found, sweeps) = await EvaluateAsync(run, mesh, set, pairs, sizes, log);
            var facts = new EvaluationFacts(found, sweeps, SizeOf(run), run.Get(Quick), run.Get(Seed), set.Digest, set.Brought, run.CommandLine, Version);
            Print(run.Terminal.Out, facts);
            object json = facts.ToJson(clock.Elapsed.TotalSeconds);
            await WriteAsync(run, facts, json, folder, clock.Elapsed.TotalSeconds);
            await run.WriteJsonAsync(json);
            run.Terminal.Out.MarkupLineInterpolated($"The page: {Path.Combine(folder, "index.html")}");
        }
        finally
        {
            Directory.Delete(dataFolder, recursive: true);
        }
    }

    private static IReadOnlyList<ModelPair> Pairs(CommandRun run, string family)
    {
        if (run.Get(SourceName) is not { } source)
        {
            return ModelPair.Load(family);
        }

        var (sourceName, sourceFolder) = ModelPair.Parse(source);
        var (targetName, targetFolder) = ModelPair.Parse(run.Get(TargetName)!);
        return [new ModelPair(sourceName, targetName, run.Get(Kind), sourceFolder, targetFolder)];
    }

    // A family says which sizes it has; two checkpoints can be taken the other way round.
    private static IReadOnlyList<ModelPair> Sizes(CommandRun run, string family, ModelPair first) =>
        run.Get(SourceName) is null ? ModelPair.LoadSizes(family) : first is { SourceFolder: not null, TargetFolder: not null } ? [first, first.Back()] : [];

    private static async Task<(IReadOnlyList<PairSummary> Pairs, IReadOnlyList<EffectSweep> Sweeps)> EvaluateAsync(
        CommandRun run, Mesh mesh, BehaviourSet set, IReadOnlyList<ModelPair> pairs, IReadOnlyList<ModelPair> sizes, AnswerLog log)
    {
        ulong seed = run.Get(Seed);
        var evaluation = new PairEvaluation(run.Terminal, mesh, set, SizeOf(run), seed, log, run.Cancellation);
        var prepared = new Dictionary<string, PreparedTarget>();
        var made = new List<PairVectors>();
        IReadOnlyList<EffectSweep> sweeps = [];
        var found = new List<PairSummary>();
        var clock = Stopwatch.StartNew();
        int planned = pairs.Count * Enum.GetValues<MapText>().Length;
        try
        {
            foreach (var pair in pairs)
            {
                var source = await mesh.FindModelAsync(pair.Source, run.Cancellation);
                var target = await mesh.FindModelAsync(pair.Target, run.Cancellation);
                var choices = await PrepareAsync(target);
                var learnt = await evaluation.LearnAsync(source, target, choices);
                made.Add(learnt.Vectors);
                foreach (var mapText in Enum.GetValues<MapText>())
                {
                    var vectors = new PairVectors(mesh, source, target, "evaluate");
                    made.Add(vectors);
                    found.Add(new PairSummary(await evaluation.RunAsync(pair, source, learnt, target, choices, mapText, vectors), (int)(seed & int.MaxValue)));
                    var left = clock.Elapsed / found.Count * (planned - found.Count);
                    string rest = found.Count == planned ? "" : $"; about {left.TotalMinutes:0.0} min left for {planned - found.Count} more";
                    run.Terminal.Note($"{pair.Source} → {pair.Target}, {PairEvaluation.MapTextName(mapText)} map text: done after {clock.Elapsed.TotalMinutes:0.0} min{rest}");
                }
            }

            if (run.Get(WithSweeps))
            {
                sweeps = await SweepAsync();
            }
        }
        finally
        {
            // The embedded store of our own mesh goes with its data folder.
            if (run.SharedStore)
            {
                await CleanUpAsync(run, made);
            }
        }

        return (found, sweeps);

        async Task<PreparedTarget> PrepareAsync(LocatedModel target)
        {
            if (!prepared.TryGetValue(target.Name, out var choices))
            {
                choices = prepared[target.Name] = await evaluation.PrepareAsync(target);
                made.Add(choices.Vectors);
            }

            return choices;
        }

        async Task<IReadOnlyList<EffectSweep>> SweepAsync()
        {
            var sweep = new SweepEvaluation(run.Terminal, mesh, set, SizeOf(run), seed, log, run.Cancellation);
            try
            {
                var source = await mesh.FindModelAsync(pairs[0].Source, run.Cancellation);
                var target = await mesh.FindModelAsync(pairs[0].Target, run.Cancellation);
                return await sweep.RunAsync(source, target, await PrepareAsync(target), sizes, PrepareAsync);
            }
            finally
            {
                made.AddRange(sweep.Made);
            }
        }
    }

    private static async Task WriteAsync(CommandRun run, EvaluationFacts facts, object json, string folder, double seconds)
    {
        var figures = facts.Pairs.Select(pair => HtmlReport.FiguresOf(pair, (int)(facts.Seed & int.MaxValue))).ToArray();
        string pictures = Directory.CreateDirectory(Path.Combine(folder, "figures")).FullName;
        foreach (var (pair, ofPair) in facts.Pairs.Zip(figures))
        {
            foreach (var figure in ofPair)
            {
                figure.SavePng(Path.Combine(pictures, $"{HtmlReport.Slug(pair)}-{figure.Name}.png"));
            }
        }

        foreach (var figure in facts.Sweeps.SelectMany(SweepFigures.Of))
        {
            figure.SavePng(Path.Combine(pictures, $"{figure.Name}.png"));
        }

        if (facts.Sweeps.Count > 0)
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "sweeps.csv"), facts.SweepsCsv(), run.Cancellation);
        }

        await File.WriteAllTextAsync(Path.Combine(folder, "behaviours.csv"), facts.BehavioursCsv(), run.Cancellation);
        await File.WriteAllTextAsync(Path.Combine(folder, "doses.csv"), facts.DosesCsv(), run.Cancellation);
        await File.WriteAllTextAsync(Path.Combine(folder, "index.html"), new HtmlReport(facts, seconds).Write(figures), run.Cancellation);
        await new JsonFile(Path.Combine(folder, "evaluation.json")).WriteAsync(run.CommandLine, json);
    }

    private static void Print(IAnsiConsole console, EvaluationFacts facts)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("pair").AddColumn("map text");
        foreach (string heading in new[] { "steerable", "R", "median", "worst", "random", "like states", "shuffled", "prompt", "propensity", "slopes", "map's R²", "cost native", "cost mapped", "at equal effect" })
        {
            table.AddColumn(new TableColumn(heading).RightAligned());
        }

        foreach (var pair in facts.Pairs)
        {
            table.AddRow(
                Markup.Escape($"{pair.Result.Pair.Source} → {pair.Result.Pair.Target}"),
                PairEvaluation.MapTextName(pair.Result.MapText),
                $"{pair.Result.Steerable.Count} of {pair.Result.Behaviours.Count}",
                Interval(pair.Rates.GetValueOrDefault(Arm.Mapped)),
                $"{pair.Median:0.00}",
                $"{pair.Worst:0.00}",
                Interval(pair.Rates.GetValueOrDefault(Arm.Random)),
                Interval(pair.Rates.GetValueOrDefault(Arm.RandomStates)),
                Interval(pair.Rates.GetValueOrDefault(Arm.Shuffled)),
                Interval(pair.Rates.GetValueOrDefault(Arm.Prompt)),
                Interval(pair.Propensity.GetValueOrDefault(Arm.Mapped)),
                Interval(pair.Slopes),
                $"{pair.Result.Maps[0].Metrics.R2:0.00}",
                $"{pair.Cost?.NativeOfAll:+0.0%;-0.0%}",
                $"{pair.Cost?.MappedOfAll:+0.0%;-0.0%}",
                $"{pair.Cost?.AtEqualEffect?.Native:+0.0%;-0.0%} → {pair.Cost?.AtEqualEffect?.Mapped:+0.0%;-0.0%}");
        }

        console.Write(table);
        foreach (var sweep in facts.Sweeps)
        {
            var settings = new Table().Border(TableBorder.Simple).Title(Markup.Escape(sweep.Question)).AddColumn(sweep.Name);
            foreach (string heading in new[] { "map's R²", "R", "R of propensity", "native", "mapped" })
            {
                settings.AddColumn(new TableColumn(heading).RightAligned());
            }

            foreach (var point in sweep.Points)
            {
                settings.AddRow(
                    Markup.Escape(point.Setting), $"{point.MapR2:0.00}", OneLine(point.Share), OneLine(point.Propensity), $"{point.Native?.Value:0.00}", $"{point.OfHeadline?.Value:0.00}");
            }

            console.Write(settings);
        }

        console.MarkupLine("R: share of the native effect kept, pooled over steerable behaviours, with a 95% interval; of rates, of propensities, and of their slopes over the dose.");
        console.MarkupLine("Cost: growth of held-out perplexity over the steerable behaviours at equal length; at equal effect over those whose mapped vector reaches it.");
    }

    private static string OneLine(Estimate? estimate) => estimate is null ? "" : $"{estimate.Value:0.00} ({estimate.Low:0.00} to {estimate.High:0.00})";

    private static string Interval(Estimate? estimate) => estimate is null ? "" : $"{estimate.Value:0.00}\n{estimate.Low:0.00} to {estimate.High:0.00}";

    private static EvaluationSize SizeOf(CommandRun run) => run.Get(Quick) ? EvaluationSize.Quick : EvaluationSize.Full;

    private static string Version => typeof(EvaluateCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    private static async Task CleanUpAsync(CommandRun run, IEnumerable<PairVectors> made)
    {
        // Not the command's own token: what was made goes also after Ctrl+C.
        using var patience = new CancellationTokenSource(CleanUpPatience);
        try
        {
            foreach (var vectors in made)
            {
                await vectors.DeleteAllAsync(patience.Token);
            }
        }
        catch (Exception e) when (e is RpcException or OperationCanceledException)
        {
            run.Terminal.Note($"Vectors and maps named evaluate/… could not all be deleted from this mesh: {e.Message}");
        }
    }
}

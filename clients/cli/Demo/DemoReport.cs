using LrtMesh.Cli.Evaluation;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Demo;

/// <summary>R of an arm over all steerable behaviours.</summary>
internal sealed record PooledShares(Estimate? Mapped, Estimate? Random, Estimate? Shuffled, Estimate? Basis)
{
    public static PooledShares Of(IReadOnlyList<TestResult> results, int seed)
    {
        var steerable = results.Where(result => result.Choice.Steerable).ToArray();
        return new PooledShares(Share(Arm.Mapped), Share(Arm.Random), Share(Arm.Shuffled), Share(Arm.Basis));

        Estimate? Share(Arm arm) => steerable.Length == 0 || !steerable[0].Outcomes.ContainsKey(arm) ? null : ShareKept.Pooled([.. steerable.Select(result => result.Paired(arm))], seed);
    }
}

/// <summary>What a demo found, printed for people and as JSON.</summary>
/// <param name="Maps">One a target layer, the one that most behaviours use first.</param>
internal sealed record DemoReport(
    LocatedModel Source,
    LocatedModel Target,
    IReadOnlyList<AffineMap> Maps,
    IReadOnlyList<TestResult> Results,
    PooledShares Pooled,
    string BehavioursDigest,
    string MapTextDigest,
    ulong Seed,
    string Store,
    long Generations)
{
    private const int SampledBehaviours = 4;

    // Chosen by the effect on dev prompts, and then the first test prompt: not picked by what came out.
    private IEnumerable<TestResult> Samples => Results.OrderByDescending(result => result.Choice.Steerable).ThenByDescending(result => result.Choice.Effect).Take(SampledBehaviours);

    /// <summary>The same prompt under four arms, for a few behaviours.</summary>
    public void PrintSamples(IAnsiConsole console)
    {
        foreach (var result in Samples)
        {
            console.MarkupLineInterpolated($"[bold]{result.Choice.Behaviour.Name}[/]: {result.Choice.Behaviour.Description}");
            console.MarkupLineInterpolated($"  [grey]prompt  [/] {OneLine(result.Prompts[0])}");
            foreach (var arm in new[] { Arm.None, Arm.Native, Arm.Mapped, Arm.Random })
            {
                string mark = result.Choice.Behaviour.Detector!.Shows(result.Texts[arm][0]) ? "●" : "○";
                console.MarkupLineInterpolated($"  [grey]{$"{arm}".ToLowerInvariant(),-8}[/] {mark} {OneLine(result.Texts[arm][0])}");
            }

            console.WriteLine();
        }

        console.MarkupLine("  [grey]● shows the behaviour, ○ does not; the first test prompt of each, not picked[/]");
    }

    /// <summary>The behaviours by arm, and the pooled R.</summary>
    public void PrintTable(IAnsiConsole console)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("behaviour");
        Arm[] arms = [.. Enum.GetValues<Arm>().Where(Results[0].Outcomes.ContainsKey)];
        foreach (string heading in (string[])["layer", "coefficient", "prompts", .. arms.Select(arm => $"{arm}".ToLowerInvariant()), "R"])
        {
            table.AddColumn(new TableColumn(heading).RightAligned());
        }

        foreach (var result in Results)
        {
            string share = ShareOf(result) is { } r ? $"{r:0.00}" : "not steerable";
            string[] rates = [.. arms.Select(arm => $"{result.Rate(arm):0.00}")];
            table.AddRow([Markup.Escape(result.Choice.Behaviour.Name), $"{result.Choice.Native.Layer}", $"{result.Choice.Coefficient:0.00}", $"{result.Prompts.Count}", .. rates, result.Choice.Steerable ? share : $"[grey]{share}[/]"]);
        }

        console.Write(table);
        int steerable = Results.Count(result => result.Choice.Steerable);
        console.MarkupLineInterpolated($"{steerable} of {Results.Count} behaviours are steerable: on dev prompts the native vector moves them by 0.2 or more, significantly (sign test, Holm).");
        console.MarkupLineInterpolated($"Share of the native effect kept, pooled over them (R, 95% interval):");
        PrintEstimate(console, "mapped", Pooled.Mapped);
        PrintEstimate(console, "random", Pooled.Random);
        PrintEstimate(console, "shuffled", Pooled.Shuffled);
        if (arms.Contains(Arm.Basis))
        {
            PrintEstimate(console, "basis", Pooled.Basis);
        }
    }

    /// <summary>The facts for programs.</summary>
    public object ToJson(double seconds)
    {
        double?[] shares = [.. Results.Select(ShareOf).Where(share => share is not null).Order()];
        return new
        {
            // The pair of layers that most behaviours use; each behaviour says its own.
            Source = new { Model = Source.Name, Maps[0].Source.Layer, Source.Model.Digest },
            Target = new { Model = Target.Name, Maps[0].Target.Layer, Target.Model.Digest },
            Map = ToJson(Maps[0]),
            Maps = Maps.Select(ToJson),
            ShareKept = new
            {
                Pooled = Pooled.Mapped?.Value,
                Pooled.Mapped?.Low,
                Pooled.Mapped?.High,
                Random = Pooled.Random?.Value,
                Shuffled = Pooled.Shuffled?.Value,
                RandomInterval = Interval(Pooled.Random),
                ShuffledInterval = Interval(Pooled.Shuffled),
                Basis = Pooled.Basis?.Value,
                BasisInterval = Interval(Pooled.Basis),
                Median = shares.Length == 0 ? null : (shares[(shares.Length - 1) / 2] + shares[shares.Length / 2]) / 2,
                Worst = shares.FirstOrDefault(),
            },
            Behaviours = Results.Select(result => new
            {
                result.Choice.Behaviour.Name,
                result.Choice.Steerable,
                result.Choice.Native.Layer,
                result.Choice.Coefficient,
                Prompts = result.Prompts.Count,
                None = result.Rate(Arm.None),
                Native = result.Rate(Arm.Native),
                Mapped = result.Rate(Arm.Mapped),
                Random = result.Rate(Arm.Random),
                Shuffled = result.Rate(Arm.Shuffled),
                Basis = result.Outcomes.ContainsKey(Arm.Basis) ? result.Rate(Arm.Basis) : (double?)null,
                ShareKept = ShareOf(result),
                DevEffect = result.Choice.Effect,
                DevP = result.Choice.P,
                VectorDigest = result.Choice.Native.Digest,
            }),
            Samples = Samples.Select(result => new
            {
                Behaviour = result.Choice.Behaviour.Name,
                Prompt = result.Prompts[0],
                None = result.Texts[Arm.None][0],
                Native = result.Texts[Arm.Native][0],
                Mapped = result.Texts[Arm.Mapped][0],
                Random = result.Texts[Arm.Random][0],
            }),
            Store,
            Seconds = seconds,
            Seed,
            BehavioursDigest,
            Generations,
            Sampler.NewTokens,
        };
    }

    private object ToJson(AffineMap map) => new
    {
        SourceLayer = map.Source.Layer,
        TargetLayer = map.Target.Layer,
        Tokens = map.Metrics.SourceTokens,
        Rows = map.Metrics.Rows + map.Metrics.HeldOutRows,
        map.Metrics.R2,
        map.Metrics.Cosine,
        map.Metrics.Lambda,
        FitSeconds = map.Metrics.FitTime?.ToTimeSpan().TotalSeconds ?? 0,
        map.Digest,
        TextDigest = MapTextDigest,
    };

    private static double? ShareOf(TestResult result) => result.Choice.Steerable ? ShareKept.Of(result.Paired(Arm.Mapped)) : null;

    private static double[]? Interval(Estimate? estimate) => estimate is null ? null : [estimate.Low, estimate.High];

    private static void PrintEstimate(IAnsiConsole console, string arm, Estimate? estimate)
    {
        string value = estimate is null ? "nothing to compare with" : $"{estimate.Value,5:0.00}  [{estimate.Low:0.00}, {estimate.High:0.00}]";
        console.MarkupLineInterpolated($"  {arm,-9} [bold]{value}[/]");
    }

    private static string OneLine(string text) => text.ReplaceLineEndings(" ⏎ ").Trim();
}

using System.Globalization;
using LrtMesh.Cli.Evaluation;
using LrtMesh.V1;

namespace LrtMesh.Cli.Report;

/// <summary>What was evaluated, how, and what came out: the source of the JSON, the CSV and the page.</summary>
/// <param name="Brought">Whether the behaviours were the user's own: they show in answers, not in texts.</param>
internal sealed record EvaluationFacts(
    IReadOnlyList<PairSummary> Pairs, IReadOnlyList<EffectSweep> Sweeps, EvaluationSize Size, bool Quick, ulong Seed, string BehavioursDigest, bool Brought, string Command, string Version)
{
    // More would differ with the company in which a request was computed.
    private const int Digits = 4;

    /// <summary>The facts for programs.</summary>
    public object ToJson(double seconds) => new
    {
        Pairs = Pairs.Select(PairJson),
        Sweeps = Sweeps.Select(SweepJson),
        Quick,
        Size,
        Seed,
        BehavioursDigest,
        Sampler.NewTokens,
        PairEvaluation.RandomDirections,
        Version,
        Seconds = Math.Round(seconds, 1),
    };

    /// <summary>A row a behaviour and pair.</summary>
    public string BehavioursCsv() => Csv(
        ["source", "target", "kind", "map_text", "behaviour", "steerable", "layer", "source_layer", "coefficient", "prompts", "none", "native", "mapped", "random", "random_states", "shuffled", "no_map", "prompt",
            "share_kept", "share_kept_low", "share_kept_high", "pearson", "pearson_shift", "mse_shift", "slope_native", "slope_mapped", "wrong_way", "wrong_way_native", "ppl_none", "ppl_native", "ppl_mapped",
            "ppl_mapped_equal_length", "kl_native", "kl_mapped", "kl_mapped_equal_length", "equal_dose", "cosine"],
        Pairs.SelectMany(pair => pair.Result.Behaviours.Select(b => (object?[])[
            pair.Result.Pair.Source, pair.Result.Pair.Target, pair.Result.Pair.Kind, PairEvaluation.MapTextName(pair.Result.MapText), b.Name, b.Choice.Steerable, b.Choice.Native.Layer, b.SourceLayer, Round(b.Choice.Coefficient), b.Prompts.Count,
            Round(b.Rate(Arm.None)), Round(b.Rate(Arm.Native)), Round(b.Rate(Arm.Mapped)), Round(b.Rate(Arm.Random)), Round(b.Rate(Arm.RandomStates)), Round(b.Rate(Arm.Shuffled)), Round(b.Rate(Arm.NoMap)), Round(b.Rate(Arm.Prompt)),
            Round(ShareOf(b)), Round(pair.Intervals.GetValueOrDefault(b.Name)?.Low), Round(pair.Intervals.GetValueOrDefault(b.Name)?.High),
            Round(Pearson(b)), Round(PearsonOfShifts(b)), Round(MseOfShifts(b)), Round(PairSummary.SlopeOf(Arm.Native)(b)), Round(PairSummary.SlopeOf(Arm.Mapped)(b)), Round(b.WrongWay(Arm.Mapped)), Round(b.WrongWay(Arm.Native)),
            Round(pair.Result.Perplexity), Round(b.NativeCost.Perplexity), Round(b.MappedCostAtEqualEffect?.Perplexity), Round(b.MappedCost.Perplexity),
            Round(b.NativeCost.Divergence), Round(b.MappedCostAtEqualEffect?.Divergence), Round(b.MappedCost.Divergence), Round(b.EqualDose), Round(b.Cosine)])));

    /// <summary>A row a dose, arm, behaviour and pair.</summary>
    public string DosesCsv() => Csv(
        ["source", "target", "map_text", "behaviour", "arm", "dose", "items", "propensity", "shift"],
        from pair in Pairs
        from b in pair.Result.Behaviours
        from curve in b.Curves
        from dose in curve.Value.Doses
        let at = curve.Value.Propensities[curve.Value.Doses.ToList().IndexOf(dose)]
        select (object?[])[
            pair.Result.Pair.Source, pair.Result.Pair.Target, PairEvaluation.MapTextName(pair.Result.MapText), b.Name, $"{curve.Key}".ToLowerInvariant(), dose, at.Length, Round(at.Average()), Round(curve.Value.Shifts(dose).Average())]);

    /// <summary>A row a setting of a sweep.</summary>
    public string SweepsCsv() => Csv(
        ["sweep", "setting", "x", "source_layer", "target_layer", "map_r2", "share_kept", "low", "high", "propensity", "propensity_low", "propensity_high", "native_of_headline", "mapped_of_headline", "behaviours"],
        from sweep in Sweeps
        from point in sweep.Points
        select (object?[])[
            sweep.Name, $"\"{point.Setting}\"", point.X, point.Layers?.Source, point.Layers?.Target, Round(point.MapR2), Round(point.Share?.Value), Round(point.Share?.Low), Round(point.Share?.High),
            Round(point.Propensity?.Value), Round(point.Propensity?.Low), Round(point.Propensity?.High), Round(point.Native?.Value), Round(point.OfHeadline?.Value), point.Behaviours]);

    /// <summary>R of a steerable behaviour.</summary>
    public static double? ShareOf(BehaviourResult behaviour) => behaviour.Choice.Steerable ? ShareKept.Of(behaviour.Paired(Arm.Mapped)) : null;

    /// <summary>Pearson's r over items between the propensities under the native and the mapped vector, as in Table 1 of Bello et al. 2025.</summary>
    public static double? Pearson(BehaviourResult behaviour) => Correlation.Pearson(AtDose1(behaviour, Arm.Native), AtDose1(behaviour, Arm.Mapped));

    /// <summary>The same of the shifts against no steering, which has no floor at 1.</summary>
    public static double? PearsonOfShifts(BehaviourResult behaviour) => Correlation.Pearson(behaviour.ItemShifts[Arm.Native], behaviour.ItemShifts[Arm.Mapped]);

    private static double MseOfShifts(BehaviourResult behaviour) => Correlation.MeanSquaredError(behaviour.ItemShifts[Arm.Native], behaviour.ItemShifts[Arm.Mapped]);

    private static double Mse(BehaviourResult behaviour) => Correlation.MeanSquaredError(AtDose1(behaviour, Arm.Native), AtDose1(behaviour, Arm.Mapped));

    private static double[] AtDose1(BehaviourResult behaviour, Arm arm) => behaviour.Curves[arm].Propensities[behaviour.Curves[arm].Doses.ToList().IndexOf(1)];

    private static object PairJson(PairSummary pair)
    {
        var result = pair.Result;
        return new
        {
            result.Pair.Source,
            result.Pair.Target,
            result.Pair.Kind,
            MapText = PairEvaluation.MapTextName(result.MapText),
            // The map that most behaviours use; each behaviour says its layers.
            Map = MapJson(result.Maps[0]),
            Maps = result.Maps.Select(MapJson),
            ShareKept = new
            {
                Pooled = Round(pair.Rates.GetValueOrDefault(Arm.Mapped)?.Value),
                Low = Round(pair.Rates.GetValueOrDefault(Arm.Mapped)?.Low),
                High = Round(pair.Rates.GetValueOrDefault(Arm.Mapped)?.High),
                Median = Round(pair.Median),
                Worst = Round(pair.Worst),
                Random = Round(pair.Rates.GetValueOrDefault(Arm.Random)?.Value),
                RandomLow = Round(pair.Rates.GetValueOrDefault(Arm.Random)?.Low),
                RandomHigh = Round(pair.Rates.GetValueOrDefault(Arm.Random)?.High),
                RandomStates = EstimateJson(pair.Rates.GetValueOrDefault(Arm.RandomStates)),
                Shuffled = Round(pair.Rates.GetValueOrDefault(Arm.Shuffled)?.Value),
                ShuffledLow = Round(pair.Rates.GetValueOrDefault(Arm.Shuffled)?.Low),
                ShuffledHigh = Round(pair.Rates.GetValueOrDefault(Arm.Shuffled)?.High),
                NoMap = EstimateJson(pair.Rates.GetValueOrDefault(Arm.NoMap)),
                Prompt = EstimateJson(pair.Rates.GetValueOrDefault(Arm.Prompt)),
                Slopes = Round(pair.Slopes?.Value),
                SlopesLow = Round(pair.Slopes?.Low),
                SlopesHigh = Round(pair.Slopes?.High),
                SlopesRandom = EstimateJson(pair.RandomSlopes),
                SlopesRank = Round(pair.SlopeRank),
                Propensity = pair.Propensity.ToDictionary(arm => System.Text.Json.JsonNamingPolicy.SnakeCaseLower.ConvertName($"{arm.Key}"), arm => EstimateJson(arm.Value)),
            },
            Steerable = result.Steerable.Count,
            Cost = pair.Cost is not { } cost ? null : new
            {
                EqualLengthNative = Round(cost.NativeOfAll),
                EqualLengthMapped = Round(cost.MappedOfAll),
                EqualEffectNative = Round(cost.AtEqualEffect?.Native),
                EqualEffectMapped = Round(cost.AtEqualEffect?.Mapped),
                EqualEffectMappedOverNative = EstimateJson(cost.AtEqualEffect?.Ratio),
                EqualEffectBehaviours = cost.AtEqualEffect?.Behaviours ?? 0,
            },
            Behaviours = result.Behaviours.Select(b => BehaviourJson(pair, b)),
            SourceDigest = result.Source.Model.Digest,
            TargetDigest = result.Target.Model.Digest,
            result.MapTextDigest,
            result.MapDocuments,
        };
    }

    private static object BehaviourJson(PairSummary pair, BehaviourResult b) => new
    {
        b.Name,
        b.Choice.Steerable,
        Coefficient = Round(b.Choice.Coefficient),
        Layer = b.Choice.Native.Layer,
        b.SourceLayer,
        Prompts = b.Prompts.Count,
        None = Round(b.Rate(Arm.None)),
        Native = Round(b.Rate(Arm.Native)),
        Mapped = Round(b.Rate(Arm.Mapped)),
        Random = Round(b.Rate(Arm.Random)),
        RandomStates = Round(b.Rate(Arm.RandomStates)),
        Shuffled = Round(b.Rate(Arm.Shuffled)),
        NoMap = Round(b.Rate(Arm.NoMap)),
        Prompt = Round(b.Rate(Arm.Prompt)),
        ShareKept = Round(ShareOf(b)),
        ShareKeptInterval = EstimateJson(pair.Intervals.GetValueOrDefault(b.Name)),
        Pearson = Round(Pearson(b)),
        PearsonShift = Round(PearsonOfShifts(b)),
        Mse = Round(Mse(b)),
        MseShift = Round(MseOfShifts(b)),
        SlopeNative = Round(PairSummary.SlopeOf(Arm.Native)(b)),
        SlopeMapped = Round(PairSummary.SlopeOf(Arm.Mapped)(b)),
        WrongWay = Round(b.WrongWay(Arm.Mapped)),
        WrongWayNative = Round(b.WrongWay(Arm.Native)),
        PplNone = Round(pair.Result.Perplexity),
        PplNative = Round(b.NativeCost.Perplexity),
        PplMapped = Round(b.MappedCostAtEqualEffect?.Perplexity),
        PplMappedEqualLength = Round(b.MappedCost.Perplexity),
        KlNative = Round(b.NativeCost.Divergence),
        KlMapped = Round(b.MappedCostAtEqualEffect?.Divergence),
        KlMappedEqualLength = Round(b.MappedCost.Divergence),
        EqualDose = Round(b.EqualDose),
        Cosine = Round(b.Cosine),
        DevEffect = Round(b.Choice.Effect),
        DevP = b.Choice.P,
        VectorDigest = b.Choice.Native.Digest,
    };

    private static object SweepJson(EffectSweep sweep) => new
    {
        sweep.Name,
        sweep.Question,
        MapAgainstEffect = Round(sweep.MapAgainstEffect),
        Points = sweep.Points.Select(point => new
        {
            point.Setting,
            point.X,
            SourceLayer = point.Layers?.Source,
            TargetLayer = point.Layers?.Target,
            MapR2 = Round(point.MapR2),
            ShareKept = EstimateJson(point.Share),
            Propensity = EstimateJson(point.Propensity),
            NativeOfHeadline = EstimateJson(point.Native),
            MappedOfHeadline = EstimateJson(point.OfHeadline),
            point.Behaviours,
        }),
    };

    private static object MapJson(AffineMap map) => new
    {
        SourceLayer = map.Source.Layer,
        TargetLayer = map.Target.Layer,
        R2 = Round(map.Metrics.R2),
        StitchedCe = Round(map.Metrics.StitchedLoss?.Stitched),
        NativeCe = Round(map.Metrics.StitchedLoss?.Native),
        MeanAblatedCe = Round(map.Metrics.StitchedLoss?.MeanAblated),
        Cosine = Round(map.Metrics.Cosine),
        map.Metrics.Lambda,
        map.Metrics.Window,
        Tokens = map.Metrics.SourceTokens,
        map.Metrics.PairedTokens,
        map.Digest,
    };

    private static object? EstimateJson(Estimate? estimate) => estimate is null ? null : new { Value = Round(estimate.Value), Low = Round(estimate.Low), High = Round(estimate.High) };

    private static double? Round(double? value) => value is { } number ? Math.Round(number, Digits) : null;

    private static string Csv(string[] heading, IEnumerable<object?[]> rows) =>
        string.Concat(rows.Prepend(heading).Select(row => string.Join(',', row.Select(cell => Convert.ToString(cell, CultureInfo.InvariantCulture))) + "\n"));
}

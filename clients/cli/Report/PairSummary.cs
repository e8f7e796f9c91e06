using LrtMesh.Cli.Evaluation;

namespace LrtMesh.Cli.Report;

/// <summary>Mean changes of perplexity over steerable behaviours, as shares: 0.1 is 10% more.</summary>
/// <param name="NativeOfAll">Of native vectors, over all of them.</param>
/// <param name="MappedOfAll">Of mapped vectors of the same length, over all of them.</param>
/// <param name="AtEqualEffect">Over those whose mapped vector reaches the native one's effect; null where none does.</param>
internal sealed record CostSummary(double NativeOfAll, double MappedOfAll, EqualEffectCost? AtEqualEffect);

/// <summary>Mean changes of perplexity where the mapped vector has the native one's effect.</summary>
/// <param name="Native">Of native vectors.</param>
/// <param name="Mapped">Of mapped vectors.</param>
/// <param name="Ratio">Perplexity under mapped over that under native vectors, at equal effect; at most 1 is no dearer.</param>
/// <param name="Behaviours">How many they are.</param>
internal sealed record EqualEffectCost(double Native, double Mapped, Estimate Ratio, int Behaviours);

/// <summary>What a pair came to, over its steerable behaviours.</summary>
internal sealed class PairSummary
{
    public PairSummary(PairResult result, int seed)
    {
        Result = result;
        Rates = Enum.GetValues<Arm>().Where(arm => arm > Arm.Native).Select(arm => (arm, result.Share(arm, seed))).Where(share => share.Item2 is not null).ToDictionary(share => share.arm, share => share.Item2!);
        Propensity = Enum.GetValues<Arm>().Where(arm => arm > Arm.Native).Select(arm => (arm, result.ShareOfPropensity(arm, seed))).Where(share => share.Item2 is not null).ToDictionary(share => share.arm, share => share.Item2!);
        Slopes = result.ShareOfSlopes(Arm.Mapped, seed);
        RandomSlopes = result.ShareOfSlopes(Arm.Random, seed);
        SlopeRank = Correlation.Spearman([.. result.Behaviours.Select(SlopeOf(Arm.Native))], [.. result.Behaviours.Select(SlopeOf(Arm.Mapped))]);
        double[] shares = result.Shares();
        Median = shares.Length == 0 ? null : (shares[(shares.Length - 1) / 2] + shares[shares.Length / 2]) / 2;
        Worst = shares.Length == 0 ? null : shares[0];
        Cost = CostOf(result, seed);
        Intervals = result.Steerable.ToDictionary(behaviour => behaviour.Name, behaviour => ShareKept.Pooled([behaviour.Paired(Arm.Mapped)], seed));
    }

    public PairResult Result { get; }

    /// <summary>R of rates, by arm.</summary>
    public IReadOnlyDictionary<Arm, Estimate> Rates { get; }

    /// <summary>R of propensity, by arm.</summary>
    public IReadOnlyDictionary<Arm, Estimate> Propensity { get; }

    /// <summary>R of slopes, of mapped vectors.</summary>
    public Estimate? Slopes { get; }

    /// <summary>R of slopes, of random vectors.</summary>
    public Estimate? RandomSlopes { get; }

    /// <summary>Spearman's correlation over all behaviours of native and mapped steerability.</summary>
    public double? SlopeRank { get; }

    /// <summary>The middle R of the behaviours.</summary>
    public double? Median { get; }

    /// <summary>The least R of the behaviours.</summary>
    public double? Worst { get; }

    /// <summary>What steering costs; null where nothing is steerable.</summary>
    public CostSummary? Cost { get; }

    /// <summary>R of each steerable behaviour with the interval over its prompts.</summary>
    public IReadOnlyDictionary<string, Estimate?> Intervals { get; }

    /// <summary>A behaviour's mean slope of propensity over the dose.</summary>
    public static Func<BehaviourResult, double> SlopeOf(Arm arm) => behaviour => behaviour.Curves[arm].Slopes().Average();

    private static CostSummary? CostOf(PairResult result, int seed)
    {
        var steerable = result.Steerable;
        BehaviourResult[] reached = [.. steerable.Where(behaviour => behaviour.MappedCostAtEqualEffect is not null)];
        return steerable.Count == 0 ? null : new CostSummary(
            More(steerable, behaviour => behaviour.NativeCost),
            More(steerable, behaviour => behaviour.MappedCost),
            reached.Length == 0 ? null : new EqualEffectCost(
                More(reached, behaviour => behaviour.NativeCost), More(reached, behaviour => behaviour.MappedCostAtEqualEffect!), RatioOf(reached, seed), reached.Length));

        double More(IReadOnlyList<BehaviourResult> behaviours, Func<BehaviourResult, Cost> cost) =>
            Math.Exp(behaviours.Average(behaviour => Math.Log(cost(behaviour).Perplexity / result.Perplexity))) - 1;
    }

    private static Estimate RatioOf(BehaviourResult[] behaviours, int seed)
    {
        var ratio = Bootstrap.MeanOfGroups(
            [.. behaviours.Select(behaviour => new[] { Math.Log(behaviour.MappedCostAtEqualEffect!.Perplexity / behaviour.NativeCost.Perplexity) })], seed)!;
        return new Estimate(Math.Exp(ratio.Value), Math.Exp(ratio.Low), Math.Exp(ratio.High));
    }
}

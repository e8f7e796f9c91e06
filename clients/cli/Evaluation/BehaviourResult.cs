namespace LrtMesh.Cli.Evaluation;

/// <summary>
/// Propensity under growing doses: for each item of multiple choice the log-probability of the continuation that shows the behaviour less that of
/// the one that does not (Tan et al. 2024, 2407.12404), in nats.
/// </summary>
/// <param name="Doses">Coefficients as multiples of the chosen one, ascending; 0 is no steering.</param>
/// <param name="Propensities">[dose][item].</param>
internal sealed record DoseCurve(IReadOnlyList<double> Doses, IReadOnlyList<double[]> Propensities)
{
    private double[] None => Propensities[Doses.ToList().IndexOf(0)];

    /// <summary>Propensities at a dose less those without steering: [item].</summary>
    public double[] Shifts(double dose) => [.. Propensities[Doses.ToList().IndexOf(dose)].Zip(None, (steered, none) => steered - none)];

    /// <summary>Steerability of each item: the slope of its propensity over the dose.</summary>
    public double[] Slopes() => [.. Enumerable.Range(0, None.Length).Select(item => Correlation.Slope(Doses, [.. Propensities.Select(at => at[item])]))];

    /// <summary>The smallest dose above 0 at which the mean shift reaches one that is above 0, read linearly between doses; null where none does.</summary>
    public double? DoseOf(double shift)
    {
        if (shift <= 0)
        {
            return null;
        }

        var (dose, reached) = (0.0, 0.0);
        foreach (double next in Doses.Where(d => d > 0))
        {
            double mean = Shifts(next).Average();
            if (mean >= shift)
            {
                return dose + ((next - dose) * (shift - reached) / (mean - reached));
            }

            (dose, reached) = (next, mean);
        }

        return null;
    }
}

/// <summary>What steering costs on text that has nothing to do with the behaviour.</summary>
/// <param name="Dose">Multiple of the chosen coefficient.</param>
/// <param name="Perplexity">Of held-out text.</param>
/// <param name="Divergence">Kullback-Leibler divergence of the steered model from the unsteered one on neutral prompts, nats a token.</param>
internal sealed record Cost(double Dose, double Perplexity, double Divergence);

/// <summary>One behaviour under all arms, on test prompts.</summary>
/// <param name="Choice">What was chosen on dev prompts.</param>
/// <param name="SourceLayer">The small model's layer.</param>
/// <param name="Prompts">Test prompts.</param>
/// <param name="Texts">By arm, one text a prompt; of random arms the first direction's.</param>
/// <param name="Outcomes">By arm, one number a prompt: 1 where the text shows the behaviour; of random arms the mean over the directions tried.</param>
/// <param name="Curves">Of native, mapped and random.</param>
/// <param name="ItemShifts">By arm, at the chosen coefficient: propensity less that without steering, one an item.</param>
/// <param name="Cosine">Of the mapped and the native vector.</param>
/// <param name="NativeCosts">By dose; the chosen coefficient is dose 1.</param>
/// <param name="MappedCosts">By dose; the last one is at equal effect, where that can be reached.</param>
/// <param name="EqualDose">The dose at which the mapped vector shifts the propensity as the native one does at dose 1; null where it never does.</param>
internal sealed record BehaviourResult(
    Choice Choice,
    uint SourceLayer,
    IReadOnlyList<string> Prompts,
    IReadOnlyDictionary<Arm, string[]> Texts,
    IReadOnlyDictionary<Arm, double[]> Outcomes,
    IReadOnlyDictionary<Arm, DoseCurve> Curves,
    IReadOnlyDictionary<Arm, double[]> ItemShifts,
    double Cosine,
    IReadOnlyList<Cost> NativeCosts,
    IReadOnlyList<Cost> MappedCosts,
    double? EqualDose)
{
    /// <summary>The behaviour's name.</summary>
    public string Name => Choice.Behaviour.Name;

    /// <summary>What the native vector costs at the chosen coefficient.</summary>
    public Cost NativeCost => NativeCosts.First(cost => cost.Dose == 1);

    /// <summary>What the mapped vector costs at the same length.</summary>
    public Cost MappedCost => MappedCosts.First(cost => cost.Dose == 1);

    /// <summary>What the mapped vector costs where its effect is that of the native one; null where it has no such effect.</summary>
    public Cost? MappedCostAtEqualEffect => EqualDose is { } dose ? MappedCosts.First(cost => cost.Dose == dose) : null;

    /// <summary>Share of prompts on which the behaviour shows; null for an arm that was not tried.</summary>
    public double? Rate(Arm arm) => Outcomes.TryGetValue(arm, out double[]? outcomes) ? outcomes.Average() : null;

    /// <summary>An arm's rates beside none and native.</summary>
    public PairedOutcomes Paired(Arm arm) => new(Outcomes[Arm.None], Outcomes[Arm.Native], Outcomes[arm]);

    /// <summary>An arm's propensity shifts beside none and native.</summary>
    public PairedOutcomes PairedShifts(Arm arm) => new(new double[ItemShifts[arm].Length], ItemShifts[Arm.Native], ItemShifts[arm]);

    /// <summary>An arm's steerability beside none and native.</summary>
    public PairedOutcomes PairedSlopes(Arm arm) => new(new double[Curves[arm].Slopes().Length], Curves[Arm.Native].Slopes(), Curves[arm].Slopes());

    /// <summary>Share of items whose propensity an arm moves away from the behaviour.</summary>
    public double WrongWay(Arm arm) => ItemShifts[arm].Average(shift => shift < 0 ? 1.0 : 0.0);
}

/// <summary>A pair of models on all behaviours.</summary>
/// <param name="Maps">One a target layer, the one that most behaviours use first.</param>
/// <param name="Perplexity">Of held-out text without steering.</param>
/// <param name="MapTextDigest">Digest of what the map's documents came from.</param>
/// <param name="MapWindow">Tokens over whose mean states the map was fitted.</param>
/// <param name="MapDocuments">How many there were.</param>
internal sealed record PairResult(
    ModelPair Pair,
    LocatedModel Source,
    LocatedModel Target,
    MapText MapText,
    string MapTextDigest,
    int MapWindow,
    int MapDocuments,
    IReadOnlyList<V1.AffineMap> Maps,
    IReadOnlyList<BehaviourResult> Behaviours,
    double Perplexity)
{
    /// <summary>The behaviours that the native vectors bring about.</summary>
    public IReadOnlyList<BehaviourResult> Steerable => [.. Behaviours.Where(behaviour => behaviour.Choice.Steerable)];

    /// <summary>R of an arm over the steerable behaviours, of rates; null where nothing is steerable or the arm was not tried.</summary>
    public Estimate? Share(Arm arm, int seed) => Pooled(behaviour => behaviour.Outcomes.ContainsKey(arm) ? behaviour.Paired(arm) : null, seed);

    /// <summary>R of an arm over the steerable behaviours, of propensity.</summary>
    public Estimate? ShareOfPropensity(Arm arm, int seed) => Pooled(behaviour => behaviour.ItemShifts.ContainsKey(arm) ? behaviour.PairedShifts(arm) : null, seed);

    /// <summary>R of an arm over the steerable behaviours, of slopes.</summary>
    public Estimate? ShareOfSlopes(Arm arm, int seed) => Pooled(behaviour => behaviour.Curves.ContainsKey(arm) ? behaviour.PairedSlopes(arm) : null, seed);

    /// <summary>R of each steerable behaviour, ascending.</summary>
    public double[] Shares() => [.. Steerable.Select(behaviour => ShareKept.Of(behaviour.Paired(Arm.Mapped))).OfType<double>().Order()];

    private Estimate? Pooled(Func<BehaviourResult, PairedOutcomes?> paired, int seed)
    {
        PairedOutcomes[] outcomes = [.. Steerable.Select(paired).OfType<PairedOutcomes>()];
        return outcomes.Length == 0 ? null : ShareKept.Pooled(outcomes, seed);
    }
}

using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>What was chosen for a behaviour on dev prompts, with its native vector alone.</summary>
/// <param name="Native">The native vector at the chosen layer of the large model.</param>
/// <param name="Coefficient">The length of what is added, in all arms.</param>
/// <param name="Effect">Rate with steering less rate without, at that coefficient, over the dev prompts.</param>
/// <param name="P">Of the sign test that the effect is above 0, after Holm's correction over behaviours.</param>
internal sealed record Choice(Behaviour Behaviour, Vector Native, double Coefficient, double Effect, double P)
{
    private const double SmallestEffect = 0.2;
    private const double Alpha = 0.05;

    public bool Steerable => Effect >= SmallestEffect && P <= Alpha;
}

/// <summary>
/// Chooses a layer and a coefficient for each behaviour, on dev prompts and with native vectors alone, so that nothing
/// about maps or test prompts enters the choice.
/// </summary>
/// <param name="curvePrompts">Prompts of a behaviour for its dose-response curve.</param>
/// <param name="confirmPrompts">Prompts of a behaviour for the test at the chosen coefficient.</param>
/// <param name="model">The steered model.</param>
internal sealed class DevChoice(Trials trials, Model model, ulong seed, int curvePrompts = DevChoice.CurvePrompts, int confirmPrompts = DevChoice.ConfirmPrompts)
{
    /// <summary>Coefficients tried, as shares of the mean length of the layer's hidden states.</summary>
    public static readonly double[] Shares = [0.1, 0.2, 0.4, 0.8];

    /// <summary>As many as a curve needs to be read.</summary>
    public const int CurvePrompts = 20;

    /// <summary>All dev prompts of the family that ships.</summary>
    public const int ConfirmPrompts = 80;

    private const int SeedPurpose = 1;

    /// <summary>Rates without steering on the dev prompts: [behaviour][prompt], 1 where the behaviour shows.</summary>
    public async Task<double[][]> BaselineAsync(IReadOnlyList<Behaviour> behaviours, Action<long, long> report, CancellationToken cancellation) =>
        await OutcomesAsync([.. behaviours.Select((behaviour, b) => new Condition(behaviour, b, confirmPrompts, null))], report, cancellation);

    /// <summary>Dose-response curves: [behaviour][layer].</summary>
    /// <param name="natives">[behaviour][layer].</param>
    public async Task<DoseResponse[][]> CurvesAsync(IReadOnlyList<Behaviour> behaviours, LearntVector[][] natives, double[][] baseline, Action<long, long> report, CancellationToken cancellation)
    {
        int layers = natives[0].Length;
        var conditions =
            from b in Enumerable.Range(0, behaviours.Count)
            from layer in Enumerable.Range(0, layers)
            from share in Shares
            let native = natives[b][layer]
            select new Condition(behaviours[b], b, curvePrompts, new SteeredBy(native.Vector.Name, native.Vector.Digest, native.Vector.Layer, share * native.MeanHiddenNorm));
        double[][] outcomes = await OutcomesAsync([.. conditions], report, cancellation);

        var curves = new DoseResponse[behaviours.Count][];
        int next = 0;
        for (int b = 0; b < behaviours.Count; b++)
        {
            double none = baseline[b].Take(curvePrompts).Average();
            curves[b] = new DoseResponse[layers];
            for (int layer = 0; layer < layers; layer++)
            {
                double norm = natives[b][layer].MeanHiddenNorm;
                double[] effects = [.. Shares.Select(_ => outcomes[next++].Average() - none)];
                curves[b][layer] = new DoseResponse([.. Shares.Select(share => share * norm)], effects);
            }
        }

        return curves;
    }

    /// <summary>
    /// The layer at which a behaviour's effect is largest; among equals the one that reaches half of it with the smallest
    /// share of the hidden states' length.
    /// </summary>
    /// <param name="curves">Of one behaviour: [layer].</param>
    /// <param name="natives">Of the same behaviour: [layer].</param>
    public static int BestLayer(DoseResponse[] curves, LearntVector[] natives) =>
        Enumerable.Range(0, curves.Length)
            .OrderByDescending(layer => curves[layer].Largest)
            .ThenBy(layer => curves[layer].HalfOfLargest() / natives[layer].MeanHiddenNorm ?? 0)
            .First();

    /// <summary>Tests each behaviour at its layer and coefficient over the dev prompts.</summary>
    /// <param name="natives">[behaviour][layer].</param>
    /// <param name="curves">[behaviour][layer].</param>
    public async Task<Choice[]> ConfirmAsync(IReadOnlyList<Behaviour> behaviours, LearntVector[][] natives, DoseResponse[][] curves, double[][] baseline, Action<long, long> report, CancellationToken cancellation)
    {
        int[] layers = [.. behaviours.Select((_, b) => BestLayer(curves[b], natives[b]))];
        Vector[] vectors = [.. layers.Select((layer, b) => natives[b][layer].Vector)];
        // A behaviour that no coefficient brings about is shown with the smallest one tried.
        double[] coefficients = [.. layers.Select((layer, b) => curves[b][layer].HalfOfLargest() ?? curves[b][layer].Coefficients[0])];
        double[][] steered = await OutcomesAsync(
            [.. behaviours.Select((behaviour, b) => new Condition(behaviour, b, confirmPrompts, new SteeredBy(vectors[b].Name, vectors[b].Digest, vectors[b].Layer, coefficients[b])))], report, cancellation);
        double[] p = Significance.Holm([.. steered.Select((outcomes, b) => Significance.SignTest(baseline[b], outcomes))]);
        return [.. behaviours.Select((behaviour, b) => new Choice(behaviour, vectors[b], coefficients[b], steered[b].Average() - baseline[b].Average(), p[b]))];
    }

    private async Task<double[][]> OutcomesAsync(IReadOnlyList<Condition> conditions, Action<long, long> report, CancellationToken cancellation)
    {
        var planned = conditions.SelectMany(condition => condition.Behaviour.Dev.Take(condition.Prompts).Select(
            (prompt, p) => new Trial(condition.Behaviour, prompt, prompt.For(model), Draws.Seed(seed, SeedPurpose, condition.Index, p), condition.Steering)));
        var found = await trials.RunAsync([.. planned], report, cancellation);

        double[][] outcomes = new double[conditions.Count][];
        int next = 0;
        for (int c = 0; c < conditions.Count; c++)
        {
            int prompts = Math.Min(conditions[c].Prompts, conditions[c].Behaviour.Dev.Count);
            outcomes[c] = [.. found.Skip(next).Take(prompts).Select(outcome => outcome.Shows ? 1.0 : 0.0)];
            next += prompts;
        }

        return outcomes;
    }

    private sealed record Condition(Behaviour Behaviour, int Index, int Prompts, SteeredBy? Steering);
}

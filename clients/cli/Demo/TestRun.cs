using LrtMesh.Cli.Evaluation;
using LrtMesh.V1;

namespace LrtMesh.Cli.Demo;

/// <summary>One behaviour on the test prompts.</summary>
/// <param name="Choice">What was chosen on dev prompts.</param>
/// <param name="Prompts">The prompts.</param>
/// <param name="Texts">By arm, one text a prompt; of the random arm the first direction's.</param>
/// <param name="Outcomes">By arm, one number a prompt: 1 where the text shows the behaviour; for the random arm the mean over its directions.</param>
internal sealed record TestResult(Choice Choice, IReadOnlyList<string> Prompts, IReadOnlyDictionary<Arm, string[]> Texts, IReadOnlyDictionary<Arm, double[]> Outcomes)
{
    /// <summary>Share of prompts on which the behaviour shows.</summary>
    public double Rate(Arm arm) => Outcomes[arm].Average();

    /// <summary>An arm beside none and native.</summary>
    public PairedOutcomes Paired(Arm arm) => new(Outcomes[Arm.None], Outcomes[Arm.Native], Outcomes[arm]);
}

/// <summary>The vectors of the arms: mapped and shuffled one a behaviour; all are added at its layer and with the same length.</summary>
/// <param name="Basis">Carried through a shared basis; null where none was asked for.</param>
internal sealed record ArmVectors(Vector[] Mapped, Vector[] Shuffled, Vector[] Random, Vector[]? Basis);

/// <summary>Generates the test prompts under all arms.</summary>
internal static class TestRun
{
    /// <summary>Random directions; each takes a share of the prompts.</summary>
    public const int RandomDirections = 20;

    // A behaviour's random texts, whatever its prompts: 20 directions of 3 prompts each.
    private const int RandomTexts = 60;
    private const int SeedPurpose = 2;

    /// <summary>Runs all behaviours.</summary>
    /// <param name="prompts">Test prompts of each behaviour at most.</param>
    public static async Task<TestResult[]> RunAsync(Sampler sampler, Choice[] choices, ArmVectors vectors, int prompts, ulong seed, Action<long, long> report, CancellationToken cancellation)
    {
        var planned = choices.SelectMany((choice, b) => Plan(choice, b, vectors, prompts, seed)).ToArray();
        var texts = await sampler.RunAsync([.. planned.Select(plan => plan.Sample)], report, cancellation);
        var byBehaviour = planned.Zip(texts, (plan, text) => (plan.Behaviour, plan.Arm, plan.Prompt, text.Text)).ToLookup(made => made.Behaviour);
        return [.. choices.Select((choice, b) => Collect(choice, byBehaviour[b]))];

        TestResult Collect(Choice choice, IEnumerable<(int Behaviour, Arm Arm, int Prompt, string Text)> made)
        {
            var arms = made.ToLookup(one => one.Arm);
            // Within an arm the prompts come in order.
            return new TestResult(
                choice,
                [.. choice.Behaviour.Test.Take(prompts).Select(prompt => prompt.Text)],
                arms.ToDictionary(arm => arm.Key, arm => arm.GroupBy(one => one.Prompt).Select(prompt => prompt.First().Text).ToArray()),
                arms.ToDictionary(arm => arm.Key, arm => arm.GroupBy(one => one.Prompt).Select(prompt => prompt.Average(one => choice.Behaviour.Detector!.Shows(one.Text) ? 1.0 : 0.0)).ToArray()));
        }
    }

    private static IEnumerable<(int Behaviour, Arm Arm, int Prompt, Sample Sample)> Plan(Choice choice, int b, ArmVectors vectors, int prompts, ulong seed)
    {
        int count = Math.Min(prompts, choice.Behaviour.Test.Count);
        int randomPerPrompt = (RandomTexts + count - 1) / count;
        for (int p = 0; p < count; p++)
        {
            yield return One(Arm.None, p, null);
            yield return One(Arm.Native, p, choice.Native);
            yield return One(Arm.Mapped, p, vectors.Mapped[b]);
            yield return One(Arm.Shuffled, p, vectors.Shuffled[b]);
            if (vectors.Basis is { } basis)
            {
                yield return One(Arm.Basis, p, basis[b]);
            }

            for (int draw = 0; draw < randomPerPrompt; draw++)
            {
                yield return One(Arm.Random, p, vectors.Random[((p * randomPerPrompt) + draw) % vectors.Random.Length]);
            }
        }

        (int, Arm, int, Sample) One(Arm arm, int p, Vector? vector) => (b, arm, p, new Sample(
            choice.Behaviour.Test[p].Text,
            Draws.Seed(seed, SeedPurpose, b, p),
            vector is null ? null : new SteeredBy(vector.Name, vector.Digest, choice.Native.Layer, choice.Coefficient)));
    }
}

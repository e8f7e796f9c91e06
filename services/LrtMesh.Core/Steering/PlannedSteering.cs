using LrtMesh.V1;

namespace LrtMesh.Core.Steering;

/// <summary>When a steering applies: where the projection on a unit direction reaches a threshold, or stays below it.</summary>
/// <param name="Layer">Whose output is looked at, before it is steered; at most the layer steered.</param>
/// <param name="Direction">The probe, of length 1, [width].</param>
/// <param name="Threshold">The projection from which on it holds.</param>
/// <param name="Below">Holds below the threshold instead.</param>
/// <param name="AtPrompt">Looked at once, at the prompt's last token, for it and all that is generated; false: at each token.</param>
public sealed record PlannedCondition(int Layer, float[] Direction, float Threshold, bool Below, bool AtPrompt);

/// <summary>One steering of a request, resolved: what is done to the hidden state, where.</summary>
/// <param name="Vector">The vector, with digest and provenance.</param>
/// <param name="Layer">The layer whose output is steered.</param>
/// <param name="Positions">Which tokens.</param>
/// <param name="Operator">Add, ablate or clamp.</param>
/// <param name="Direction">What is added, or the unit direction along which the state is changed, [width].</param>
public sealed record PlannedSteering(SteeringVector Vector, int Layer, PositionRule Positions, SteeringOperator Operator, float[] Direction)
{
    /// <summary>With clamp: what the projection becomes.</summary>
    public double Projection { get; init; }

    /// <summary>With <see cref="PositionRule.Ranges"/>: the positions.</summary>
    public IReadOnlyList<(int Start, int End)> Ranges { get; init; } = [];

    /// <summary>Whether the state is scaled back to its length.</summary>
    public bool PreservesNorm { get; init; }

    /// <summary>Factors of the coefficient from generated tokens on, ascending; empty: 1.</summary>
    public IReadOnlyList<(int Token, double Factor)> Schedule { get; init; } = [];

    /// <summary>When it applies; null: always.</summary>
    public PlannedCondition? Condition { get; init; }

    /// <summary>Whether a token is steered if the condition holds. Positions are absolute, so a KV cache changes nothing.</summary>
    public bool AppliesAt(int position, int promptLength) => (Condition is not { AtPrompt: true } || position >= promptLength - 1) && Positions switch
    {
        PositionRule.All => true,
        PositionRule.Prompt => position < promptLength,
        PositionRule.Generated => position >= promptLength,
        PositionRule.LastPromptToken => position == promptLength - 1,
        PositionRule.FromLastPromptToken => position >= promptLength - 1,
        PositionRule.Ranges => Ranges.Any(range => position >= range.Start && position < range.End),
        _ => throw new InvalidOperationException($"{Positions} is resolved before a plan is made"),
    };

    /// <summary>The coefficient's factor at a token.</summary>
    /// <param name="generated">Which generated token, from 0; below for the prompt's.</param>
    public double FactorAt(int generated)
    {
        if (Schedule.Count == 0)
        {
            return 1;
        }

        var after = 0;
        while (after < Schedule.Count && Schedule[after].Token <= generated)
        {
            after++;
        }

        if (after == 0 || after == Schedule.Count)
        {
            return Schedule[Math.Max(0, after - 1)].Factor;
        }

        var ((from, before), (to, next)) = (Schedule[after - 1], Schedule[after]);
        return before + ((next - before) * (generated - from) / (to - from));
    }

    /// <summary>What steerings in a row do to a token of a prompt, as 128 bits that nothing else has.</summary>
    public static UInt128 Fingerprint(IEnumerable<PlannedSteering> steerings)
    {
        using var digest = new ContentDigest();
        foreach (var steering in steerings)
        {
            digest.Add(steering.Layer).Add((int)steering.Operator).Add(steering.Direction)
                .Add(BitConverter.DoubleToInt64Bits(steering.Projection * steering.FactorAt(-1)))
                .Add(BitConverter.DoubleToInt64Bits(steering.FactorAt(-1))).Add(steering.PreservesNorm ? 1 : 0);
            if (steering.Condition is { } condition)
            {
                digest.Add(condition.Layer).Add(condition.Direction).Add(BitConverter.SingleToInt32Bits(condition.Threshold)).Add(condition.Below ? 1 : 0);
            }
        }

        return digest.Finish128();
    }
}

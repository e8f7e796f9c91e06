using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>A vector that steers, at which layer, and how strongly: the length of what is added to each hidden state, as a rule from the prompt's last token on.</summary>
internal sealed record SteeredBy(string Vector, string Digest, uint Layer, double Coefficient)
{
    /// <summary>Which tokens.</summary>
    public PositionRule Positions { get; init; } = PositionRule.FromLastPromptToken;

    /// <summary>A vector at the layer that it was made for.</summary>
    public static SteeredBy Of(Vector vector, double coefficient) => new(vector.Name, vector.Digest, vector.Layer, coefficient);

    /// <summary>As requests have it.</summary>
    public Steering ToSteering() =>
        new() { Vector = Vector, Layer = Layer, Coefficient = Coefficient, Unit = CoefficientUnit.UnitVector, Positions = Positions };

    /// <summary>Checks the proof of steering in an answer.</summary>
    /// <exception cref="CommandException">It was not steered as asked.</exception>
    public static void CheckProof(SteeredBy? steering, IEnumerable<AppliedSteering> applied)
    {
        string[] wanted = steering is null ? [] : [steering.Digest];
        string[] got = [.. applied.Select(one => one.VectorDigest)];
        if (!got.SequenceEqual(wanted))
        {
            throw new CommandException($"An answer was not steered as asked: wanted [{string.Join(", ", wanted)}], it says [{string.Join(", ", got)}].");
        }
    }
}

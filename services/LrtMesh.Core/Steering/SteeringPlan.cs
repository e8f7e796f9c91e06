using LrtMesh.V1;

namespace LrtMesh.Core.Steering;

/// <summary>One steering of a request, resolved: what is done to the hidden state, where.</summary>
/// <param name="Vector">The vector, with digest and provenance.</param>
/// <param name="Layer">The layer whose output is steered.</param>
/// <param name="Positions">Which tokens.</param>
/// <param name="Operator">Add or ablate.</param>
/// <param name="Direction">What is added, or the unit direction that is taken out, [width].</param>
public sealed record PlannedSteering(SteeringVector Vector, int Layer, PositionRule Positions, SteeringOperator Operator, float[] Direction)
{
    /// <summary>Whether a token is steered. Positions are absolute, so a KV cache changes nothing.</summary>
    public bool AppliesAt(int position, int promptLength) => Positions switch
    {
        PositionRule.All => true,
        PositionRule.Prompt => position < promptLength,
        PositionRule.Generated => position >= promptLength,
        PositionRule.LastPromptToken => position == promptLength - 1,
        PositionRule.FromLastPromptToken => position >= promptLength - 1,
        _ => throw new InvalidOperationException($"{Positions} is resolved before a plan is made"),
    };

    /// <summary>What steerings in a row do to a token, as 128 bits that nothing else has.</summary>
    public static UInt128 Fingerprint(IEnumerable<PlannedSteering> steerings)
    {
        using var digest = new ContentDigest();
        foreach (var steering in steerings)
        {
            digest.Add(steering.Layer).Add((int)steering.Operator).Add(steering.Direction);
        }

        return digest.Finish128();
    }
}

/// <summary>The steering of one request, resolved once and checked whole: a request that names a vector is steered by it or fails.</summary>
public sealed class SteeringPlan
{
    private SteeringPlan(IReadOnlyList<PlannedSteering> steerings) => Steerings = steerings;

    /// <summary>No steering.</summary>
    public static SteeringPlan None { get; } = new([]);

    /// <summary>In the request's order.</summary>
    public IReadOnlyList<PlannedSteering> Steerings { get; }

    /// <summary>Resolves and checks what a request asks for.</summary>
    /// <param name="requested">The request's <c>steering</c>.</param>
    /// <param name="model">The model that generates.</param>
    /// <param name="find">Reads a vector from the store.</param>
    /// <param name="cancellation">Ends the reading.</param>
    /// <exception cref="LrtMeshException">
    /// InvalidArgument with every wrong field at once; NotFound for an unknown vector; FailedPrecondition for one of another model.
    /// </exception>
    public static async Task<SteeringPlan> ResolveAsync(
        IReadOnlyList<V1.Steering> requested,
        Model model,
        Func<string, CancellationToken, Task<SteeringVector>> find,
        CancellationToken cancellation)
    {
        if (requested.Count == 0)
        {
            return None;
        }

        var wrong = requested.SelectMany((steering, i) => Check(steering, $"steering[{i}]", model)).ToList();
        if (wrong.Count > 0)
        {
            throw new LrtMeshException(ErrorReason.InvalidArgument, wrong);
        }

        var planned = new List<PlannedSteering>(requested.Count);
        for (var i = 0; i < requested.Count; i++)
        {
            var vector = await find(requested[i].Vector, cancellation);
            CheckFits(vector.Info, $"steering[{i}].vector", model);
            planned.Add(Plan(requested[i], vector));
        }

        return new SteeringPlan(planned);
    }

    private static PlannedSteering Plan(V1.Steering steering, SteeringVector vector)
    {
        var scale = steering.Unit == CoefficientUnit.RawVector ? steering.Coefficient : steering.Coefficient / vector.Info.Norm;
        return new PlannedSteering(
            vector,
            steering.HasLayer ? (int)steering.Layer : (int)vector.Info.Layer,
            steering.Positions == PositionRule.Unspecified ? PositionRule.All : steering.Positions,
            steering.Operator == SteeringOperator.Unspecified ? SteeringOperator.Add : steering.Operator,
            Array.ConvertAll(vector.Elements, element => (float)(scale * element)));
    }

    private static IEnumerable<Violation> Check(V1.Steering steering, string path, Model model)
    {
        if (steering.Vector.Length == 0)
        {
            yield return new($"{path}.vector", "must name a stored vector");
        }

        if (!double.IsFinite(steering.Coefficient))
        {
            yield return new($"{path}.coefficient", $"must be a finite number, and it is {steering.Coefficient}");
        }

        if (!Enum.IsDefined(steering.Operator))
        {
            yield return new($"{path}.operator", $"{(int)steering.Operator} is not a SteeringOperator");
        }

        if (steering.Operator == SteeringOperator.Ablate && steering.Coefficient != 1)
        {
            yield return new($"{path}.coefficient", $"must be 1 to ablate, and it is {steering.Coefficient}: the direction is taken out whole");
        }

        if (steering.Operator == SteeringOperator.Ablate && steering.Unit == CoefficientUnit.RawVector)
        {
            yield return new($"{path}.unit", "must be the unit vector to ablate: the vector's length plays no part");
        }

        if (!Enum.IsDefined(steering.Unit))
        {
            yield return new($"{path}.unit", $"{(int)steering.Unit} is not a CoefficientUnit");
        }

        if (!Enum.IsDefined(steering.Positions))
        {
            yield return new($"{path}.positions", $"{(int)steering.Positions} is not a PositionRule");
        }

        if (steering.HasLayer && steering.Layer >= model.Layers)
        {
            yield return new($"{path}.layer", $"must be 0 to {model.Layers - 1} for {model.Name}, and it is {steering.Layer}");
        }
    }

    private static void CheckFits(Vector vector, string path, Model model)
    {
        if (vector.Width != model.Width)
        {
            throw LrtMeshException.Mismatch(
                path, $"'{vector.Name}' is {vector.Width} wide and {model.Name} is {model.Width}: a vector of {vector.Model} reaches another model by a map (TransferVector)");
        }

        if (vector.ModelDigest.Length > 0 ? vector.ModelDigest != model.Digest : vector.Model != model.Name)
        {
            throw LrtMeshException.Mismatch(
                path, $"'{vector.Name}' belongs to {vector.Model} ({Short(vector.ModelDigest)}), and this is {model.Name} ({Short(model.Digest)}): learn it on this model or transfer it");
        }

        if (vector.Layer >= model.Layers)
        {
            throw LrtMeshException.Mismatch(path, $"'{vector.Name}' is for layer {vector.Layer}, and {model.Name} has {model.Layers} layers");
        }
    }

    private static string Short(string digest) => digest.Length > 19 ? digest[..19] : "no digest";
}

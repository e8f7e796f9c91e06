using LrtMesh.V1;

namespace LrtMesh.Core.Steering;

/// <summary>The steering of one request, resolved once and checked whole: a request that names a vector is steered by it or fails.</summary>
public sealed class SteeringPlan
{
    private const int MaxSteerings = 64; // a live sequence keeps one bit for each

    private SteeringPlan(IReadOnlyList<PlannedSteering> steerings) => Steerings = steerings;

    /// <summary>No steering.</summary>
    public static SteeringPlan None { get; } = new([]);

    /// <summary>In the request's order.</summary>
    public IReadOnlyList<PlannedSteering> Steerings { get; }

    /// <summary>Resolves and checks what a request asks for.</summary>
    /// <param name="requested">The request's <c>steering</c>.</param>
    /// <param name="field">Its proto path.</param>
    /// <param name="model">The model that generates.</param>
    /// <param name="longest">Tokens of prompt and answer at most.</param>
    /// <param name="vectors">Where vectors come from.</param>
    /// <param name="cancellation">Ends the reading.</param>
    /// <exception cref="LrtMeshException">
    /// InvalidArgument with every wrong field at once; NotFound for an unknown vector or map; FailedPrecondition for one of another model.
    /// </exception>
    public static async Task<SteeringPlan> ResolveAsync(
        IReadOnlyList<V1.Steering> requested, string field, Model model, int longest, VectorSource vectors, CancellationToken cancellation)
    {
        if (requested.Count == 0)
        {
            return None;
        }

        var wrong = requested.SelectMany((steering, i) => SteeringCheck.Violations(steering, $"{field}[{i}]", model, longest)).ToList();
        if (requested.Count > MaxSteerings)
        {
            wrong.Add(new Violation(field, $"must be at most {MaxSteerings} entries, not {requested.Count}"));
        }

        if (wrong.Count > 0)
        {
            throw new LrtMeshException(ErrorReason.InvalidArgument, wrong);
        }

        var planned = new List<PlannedSteering>(requested.Count);
        for (var i = 0; i < requested.Count; i++)
        {
            planned.Add(await PlanAsync(requested[i], $"{field}[{i}]", model, vectors, cancellation));
            if (planned.SkipLast(1).Any(earlier => Contradict(earlier, planned[i])))
            {
                throw LrtMeshException.Invalid(
                    $"{field}[{i}]", $"undoes an earlier entry: both set the projection on '{planned[i].Vector.Info.Name}' at layer {planned[i].Layer} for the same tokens");
            }
        }

        return new SteeringPlan(planned);
    }

    private static async Task<PlannedSteering> PlanAsync(V1.Steering steering, string field, Model model, VectorSource vectors, CancellationToken cancellation)
    {
        var vector = await vectors.OfAsync(steering, field, model, cancellation);
        var changesAlong = steering.Operator is SteeringOperator.Ablate or SteeringOperator.Clamp;
        var length = steering.Unit == CoefficientUnit.RawVector ? steering.Coefficient * vector.Info.Norm : steering.Coefficient;
        var scale = (changesAlong ? 1 : length) / vector.Info.Norm;
        var layer = steering.HasLayer ? (int)steering.Layer : (int)vector.Info.Layer;
        return new PlannedSteering(
            vector,
            layer,
            steering.Positions == PositionRule.Unspecified ? PositionRule.All : steering.Positions,
            steering.Operator == SteeringOperator.Unspecified ? SteeringOperator.Add : steering.Operator,
            Array.ConvertAll(vector.Elements, element => (float)(scale * element)))
        {
            Projection = steering.Operator == SteeringOperator.Clamp ? length : 0,
            Ranges = [.. steering.Ranges.Select(range => ((int)range.Start, range.HasEnd ? (int)Math.Min(range.End, int.MaxValue) : int.MaxValue))],
            PreservesNorm = steering.PreserveNorm,
            Schedule = [.. steering.Schedule.Select(point => ((int)point.Token, point.Factor))],
            Condition = steering.Condition is { } condition ? await PlanAsync(condition, layer, $"{field}.condition", model, vectors, cancellation) : null,
        };
    }

    private static async Task<PlannedCondition> PlanAsync(
        SteeringCondition condition, int steered, string field, Model model, VectorSource vectors, CancellationToken cancellation)
    {
        var probe = await vectors.FindAsync(condition.Probe, condition.ProbeVersion, $"{field}.probe", model, cancellation);
        var layer = condition.HasLayer ? (int)condition.Layer : (int)probe.Info.Layer;
        if (layer > steered)
        {
            throw LrtMeshException.Invalid(
                $"{field}.layer", $"must be at most {steered}, the layer that is steered, and it is {layer}: what a later layer shows is not known yet");
        }

        return new PlannedCondition(
            layer,
            Array.ConvertAll(probe.Elements, element => (float)(element / probe.Info.Norm)),
            (float)condition.Threshold,
            condition.Below,
            condition.Scope == ConditionScope.Prompt);
    }

    /// <summary>Whether two set the same projection at the same place: whatever the first does is undone.</summary>
    private static bool Contradict(PlannedSteering one, PlannedSteering other) =>
        one.Operator != SteeringOperator.Add && other.Operator != SteeringOperator.Add && one.Condition is null && other.Condition is null
        && one.Projection != other.Projection && one.Layer == other.Layer && one.Vector.Info.Digest == other.Vector.Info.Digest
        && one.Positions == other.Positions && one.Ranges.SequenceEqual(other.Ranges);
}

using LrtMesh.V1;

namespace LrtMesh.Core.Steering;

/// <summary>What is wrong with a steering by itself, whatever the vector: values, and rules that contradict each other or never apply.</summary>
internal static class SteeringCheck
{
    private const int MaxRanges = 64;
    private const int MaxPoints = 64;

    /// <summary>Every wrong field.</summary>
    /// <param name="steering">What a request asks for.</param>
    /// <param name="path">Its proto path.</param>
    /// <param name="model">The model that generates.</param>
    /// <param name="longest">Tokens of prompt and answer at most.</param>
    public static IEnumerable<Violation> Violations(V1.Steering steering, string path, Model model, int longest) =>
        [.. Source(steering, path, model), .. Amount(steering, path), .. Ranges(steering, path, longest), .. Schedule(steering, path), .. Condition(steering, path, model)];

    private static IEnumerable<Violation> Source(V1.Steering steering, string path, Model model)
    {
        if (steering.Given is null && steering.Vector.Length == 0)
        {
            yield return new($"{path}.vector", "must name a stored vector, or a vector must be given");
        }

        if (steering.Given is not null && (steering.Vector.Length > 0 || steering.Map.Length > 0))
        {
            yield return new($"{path}.given", "must not come with vector or map: it is a vector of this model");
        }

        if (steering.Vector.Length == 0 && steering.VectorVersion > 0)
        {
            yield return new($"{path}.vector_version", "must be 0 where no stored vector is named");
        }

        if (steering.Map.Length == 0 && steering.MapVersion > 0)
        {
            yield return new($"{path}.map_version", "must be 0 where no map is named");
        }

        if (steering.Given is not null && !steering.HasLayer)
        {
            yield return new($"{path}.layer", "must be set for a given vector, which has no layer of its own");
        }

        if (steering.HasLayer && steering.Layer >= model.Layers)
        {
            yield return new($"{path}.layer", $"must be 0 to {model.Layers - 1} for {model.Name}, and it is {steering.Layer}");
        }
    }

    private static IEnumerable<Violation> Amount(V1.Steering steering, string path)
    {
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
    }

    private static IEnumerable<Violation> Ranges(V1.Steering steering, string path, int longest)
    {
        if (!Enum.IsDefined(steering.Positions))
        {
            yield return new($"{path}.positions", $"{(int)steering.Positions} is not a PositionRule");
        }

        if (steering.Positions == PositionRule.Ranges ? steering.Ranges.Count is 0 or > MaxRanges : steering.Ranges.Count > 0)
        {
            yield return new($"{path}.ranges", $"must be 1 to {MaxRanges} with POSITION_RULE_RANGES and none with another rule, not {steering.Ranges.Count}");
        }

        for (var i = 0; i < steering.Ranges.Count; i++)
        {
            var range = steering.Ranges[i];
            if (range.HasEnd && range.End <= range.Start)
            {
                yield return new($"{path}.ranges[{i}].end", $"must be above start, {range.Start}, and it is {range.End}: the range is empty");
            }

            if (range.Start >= longest)
            {
                yield return new($"{path}.ranges[{i}].start", $"must be below {longest}, the tokens of prompt and answer, and it is {range.Start}: no token would be steered");
            }
        }
    }

    private static IEnumerable<Violation> Schedule(V1.Steering steering, string path)
    {
        var points = steering.Schedule;
        if (points.Count > MaxPoints)
        {
            yield return new($"{path}.schedule", $"must be at most {MaxPoints} points, not {points.Count}");
        }

        if (points.Count > 0 && steering.Operator == SteeringOperator.Ablate)
        {
            yield return new($"{path}.schedule", "must be empty to ablate: the direction is taken out whole");
        }

        if (points.Count > 0 && steering.Positions is PositionRule.Prompt or PositionRule.LastPromptToken)
        {
            yield return new($"{path}.schedule", "must be empty where no generated token is steered");
        }

        for (var i = 0; i < points.Count; i++)
        {
            if (!double.IsFinite(points[i].Factor))
            {
                yield return new($"{path}.schedule[{i}].factor", $"must be a finite number, and it is {points[i].Factor}");
            }

            if (points[i].Token > int.MaxValue || (i > 0 && points[i].Token <= points[i - 1].Token))
            {
                yield return new($"{path}.schedule[{i}].token", $"must be above that of the point before and below 2^31, and it is {points[i].Token}");
            }
        }
    }

    private static IEnumerable<Violation> Condition(V1.Steering steering, string path, Model model)
    {
        if (steering.Condition is not { } condition)
        {
            yield break;
        }

        if (condition.Probe.Length == 0)
        {
            yield return new($"{path}.condition.probe", "must name a stored vector");
        }

        if (!float.IsFinite((float)condition.Threshold))
        {
            yield return new($"{path}.condition.threshold", $"must be a finite number, and it is {condition.Threshold}");
        }

        if (condition.HasLayer && condition.Layer >= model.Layers)
        {
            yield return new($"{path}.condition.layer", $"must be 0 to {model.Layers - 1} for {model.Name}, and it is {condition.Layer}");
        }

        if (!Enum.IsDefined(condition.Scope))
        {
            yield return new($"{path}.condition.scope", $"{(int)condition.Scope} is not a ConditionScope");
        }

        if (condition.Scope == ConditionScope.Prompt && steering.Positions == PositionRule.Prompt)
        {
            yield return new($"{path}.condition.scope", "must be token with POSITION_RULE_PROMPT: one on the prompt is known at its last token");
        }
    }
}

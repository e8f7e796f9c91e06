using System.CommandLine;
using System.Globalization;
using LrtMesh.V1;

namespace LrtMesh.Cli.Commands;

/// <summary>The options that say what steers a text, and the steering that they make.</summary>
internal static class SteeringOptions
{
    private static readonly Option<string?> VectorName = new("--vector") { Description = "Steer with this vector.", HelpName = "VECTOR" };

    private static readonly Option<ulong> VectorVersion = Inputs.VersionOf("--vector");

    private static readonly Option<double?> Coefficient = new("--coefficient") { Description = "How strongly; negative steers the other way.", HelpName = "C" };

    private static readonly Option<string[]> Steer = new("--steer") { Description = "Another vector and its coefficient; may be repeated, effects add up.", HelpName = "VECTOR:C" };

    private static readonly Option<string[]> Ablate = new("--ablate") { Description = "Take this vector's direction out of the hidden states; may be repeated.", HelpName = "VECTOR" };

    private static readonly Option<string[]> Clamp = new("--clamp") { Description = "Set the hidden states' projection on this vector to C; may be repeated.", HelpName = "VECTOR:C" };

    private static readonly Option<string?> Map = new("--map") { Description = "The vectors are a small model's: carry them over by this map.", HelpName = "MAP" };

    private static readonly Option<ulong> MapVersion = Inputs.VersionOf("--map");

    private static readonly Option<string> Unit = Inputs.Choice("--unit", "What a coefficient multiplies: the vector divided by its length, or the vector as stored.", "unit", "raw");

    private static readonly Option<uint?> Layer = new("--layer") { Description = "Layer to steer, counted from 0. Default: the vector's own.", HelpName = "L" };

    private static readonly Option<string> Positions = Inputs.Choice("--positions", "Which tokens are steered.", "all", "prompt", "generated", "last-prompt", "from-last-prompt");

    private static readonly Option<string[]> Range = new("--range") { Description = "Steer the tokens from A to before B (to the end without B), counted from the prompt's first; may be repeated.", HelpName = "A..[B]" };

    private static readonly Option<bool> PreserveNorm = new("--preserve-norm") { Description = "Scale steered hidden states back to their length." };

    private static readonly Option<string[]> Schedule = new("--schedule") { Description = "The coefficient times F at generated token T, on a straight line in between; may be repeated.", HelpName = "T:F" };

    private static readonly Option<string?> If = new("--if") { Description = "Steer a token only if its projection on this vector is at least T.", HelpName = "VECTOR:T" };

    private static readonly Option<bool> AtPrompt = new("--at-prompt") { Description = "With --if: decide once, at the prompt's last token." };

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Option> All { get; } =
        [VectorName, VectorVersion, Coefficient, Steer, Ablate, Clamp, Map, MapVersion, Unit, Layer, Positions, Range, PreserveNorm, Schedule, If, AtPrompt];

    /// <summary>Says what of a command line is not as it should be.</summary>
    public static void Validate(System.CommandLine.Parsing.CommandResult result)
    {
        if (result.GetValue(VectorName) is null != result.GetValue(Coefficient) is null)
        {
            result.AddError("--vector and --coefficient belong together: --vector cheerful --coefficient 6.");
        }

        foreach (var (version, named) in new[] { (VectorVersion, VectorName), (MapVersion, Map) })
        {
            if (result.GetValue(version) > 0 && result.GetValue(named) is null)
            {
                result.AddError($"{version.Name} belongs to {named.Name}.");
            }
        }

        foreach (var option in new[] { Steer, Clamp })
        {
            foreach (string value in (result.GetValue(option) ?? []).Where(value => Inputs.ParseSteer(value) is null))
            {
                result.AddError($"{option.Name} '{value}': expected VECTOR:COEFFICIENT, such as cheerful:6.");
            }
        }

        foreach (string value in (result.GetValue(Range) ?? []).Where(value => ParseRange(value) is null))
        {
            result.AddError($"--range '{value}': expected A..B or A.., such as 4..12.");
        }

        foreach (string value in (result.GetValue(Schedule) ?? []).Where(value => ParsePoint(value) is null))
        {
            result.AddError($"--schedule '{value}': expected TOKEN:FACTOR, such as 20:0.5.");
        }

        if (result.GetValue(If) is { } condition && Inputs.ParseSteer(condition) is null)
        {
            result.AddError($"--if '{condition}': expected VECTOR:THRESHOLD, such as refusal:2.5.");
        }
    }

    /// <summary>The steering asked for.</summary>
    public static IEnumerable<Steering> Of(CommandRun run)
    {
        if (run.Parse.GetValue(VectorName) is { } named)
        {
            var steering = Of(run, named, run.Parse.GetValue(Coefficient)!.Value, SteeringOperator.Add);
            steering.VectorVersion = run.Get(VectorVersion);
            yield return steering;
        }

        foreach (string steer in run.Parse.GetValue(Steer) ?? [])
        {
            var (name, coefficient) = Inputs.ParseSteer(steer)!.Value;
            yield return Of(run, name, coefficient, SteeringOperator.Add);
        }

        foreach (string vector in run.Parse.GetValue(Ablate) ?? [])
        {
            yield return Of(run, vector, 1, SteeringOperator.Ablate);
        }

        foreach (string clamp in run.Parse.GetValue(Clamp) ?? [])
        {
            var (name, coefficient) = Inputs.ParseSteer(clamp)!.Value;
            yield return Of(run, name, coefficient, SteeringOperator.Clamp);
        }
    }

    private static Steering Of(CommandRun run, string vector, double coefficient, SteeringOperator steeringOperator)
    {
        bool ablates = steeringOperator == SteeringOperator.Ablate;
        var steering = new Steering
        {
            Vector = vector,
            Map = run.Parse.GetValue(Map) ?? "",
            MapVersion = run.Get(MapVersion),
            Operator = steeringOperator,
            Coefficient = coefficient,
            Unit = run.Get(Unit) == "raw" && !ablates ? CoefficientUnit.RawVector : CoefficientUnit.UnitVector,
            Positions = run.Get(Positions) switch
            {
                "prompt" => PositionRule.Prompt,
                "generated" => PositionRule.Generated,
                "last-prompt" => PositionRule.LastPromptToken,
                "from-last-prompt" => PositionRule.FromLastPromptToken,
                _ => PositionRule.All,
            },
            PreserveNorm = run.Parse.GetValue(PreserveNorm),
        };
        steering.Ranges.AddRange((run.Parse.GetValue(Range) ?? []).Select(range => ParseRange(range)!));
        if (steering.Ranges.Count > 0)
        {
            steering.Positions = PositionRule.Ranges;
        }

        if (!ablates)
        {
            steering.Schedule.AddRange((run.Parse.GetValue(Schedule) ?? []).Select(point => ParsePoint(point)!));
        }

        if (run.Parse.GetValue(Layer) is { } layer)
        {
            steering.Layer = layer;
        }

        if (run.Parse.GetValue(If) is { } condition)
        {
            var (probe, threshold) = Inputs.ParseSteer(condition)!.Value;
            steering.Condition = new SteeringCondition
            {
                Probe = probe,
                Threshold = threshold,
                Scope = run.Parse.GetValue(AtPrompt) ? ConditionScope.Prompt : ConditionScope.Token,
            };
        }

        return steering;
    }

    private static PositionRange? ParseRange(string text) => Inputs.ParseRange(text) switch
    {
        (var start, { } end) => new PositionRange { Start = start, End = end },
        (var start, null) => new PositionRange { Start = start },
        _ => null,
    };

    private static SchedulePoint? ParsePoint(string text) =>
        Inputs.ParseSteer(text) is var (token, factor) && uint.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out uint at)
            ? new SchedulePoint { Token = at, Factor = factor }
            : null;
}

using System.CommandLine;
using System.Globalization;
using LrtMesh.V1;

namespace LrtMesh.Cli.Commands;

/// <summary>The options that say how tokens are chosen, and the sampling that they make.</summary>
internal static class SamplingOptions
{
    private static readonly Option<double?> Temperature = new("--temperature") { Description = "0 takes the likeliest token each time. Default: 1.", HelpName = "T" };

    private static readonly Option<uint> TopK = new("--top-k") { Description = "Choose only among the K likeliest tokens; 0: all.", HelpName = "K" };

    private static readonly Option<double?> TopP = new("--top-p") { Description = "Choose only among the likeliest tokens that sum to P.", HelpName = "P" };

    private static readonly Option<double> MinP = new("--min-p") { Description = "Choose only among tokens at least P times as likely as the likeliest; 0: all.", HelpName = "P" };

    private static readonly Option<double?> Repetition = new("--repetition-penalty") { Description = "Divide the positive scores of tokens that came before by R, multiply the negative ones. Default: 1.", HelpName = "R" };

    private static readonly Option<double> Presence = new("--presence-penalty") { Description = "Take X off the scores of tokens of the answer.", HelpName = "X" };

    private static readonly Option<double> Frequency = new("--frequency-penalty") { Description = "Take X off a token's score for each time that the answer holds it.", HelpName = "X" };

    private static readonly Option<string[]> Bias = new("--logit-bias") { Description = "Add X to a token's score, by its id; may be repeated.", HelpName = "ID:X" };

    private static readonly Option<ulong?> Seed = new("--seed") { Description = "The same seed gives the same text.", HelpName = "S" };

    private static readonly Option<uint?> Samples = new("--samples") { Description = "How many answers, with the seeds S, S + 1, and so on. Default: 1.", HelpName = "N" };

    private static readonly Option<uint?> Logprobs = new("--logprobs") { Description = "With --json: each token's log-probability, and those of the N likeliest.", HelpName = "N" };

    /// <summary>All of them.</summary>
    public static IReadOnlyList<Option> All { get; } = [Temperature, TopK, TopP, MinP, Repetition, Presence, Frequency, Bias, Seed, Samples, Logprobs];

    /// <summary>Says what of a command line is not as it should be.</summary>
    public static void Validate(System.CommandLine.Parsing.CommandResult result)
    {
        foreach (string value in (result.GetValue(Bias) ?? []).Where(value => ParseBias(value) is null))
        {
            result.AddError($"--logit-bias '{value}': expected ID:BIAS, such as 17:-4.");
        }

        if (result.GetValue(Samples) == 0)
        {
            result.AddError("--samples must be at least 1.");
        }
    }

    /// <summary>The sampling asked for.</summary>
    public static Sampling Of(CommandRun run)
    {
        var sampling = new Sampling
        {
            TopK = run.Get(TopK),
            MinP = run.Get(MinP),
            PresencePenalty = run.Get(Presence),
            FrequencyPenalty = run.Get(Frequency),
            LogitBias = { (run.Parse.GetValue(Bias) ?? []).Select(bias => ParseBias(bias)!) },
            Samples = run.Parse.GetValue(Samples) ?? 1,
        };
        if (run.Parse.GetValue(Temperature) is { } temperature)
        {
            sampling.Temperature = temperature;
        }

        if (run.Parse.GetValue(TopP) is { } topP)
        {
            sampling.TopP = topP;
        }

        if (run.Parse.GetValue(Repetition) is { } repetition)
        {
            sampling.RepetitionPenalty = repetition;
        }

        if (run.Parse.GetValue(Seed) is { } seed)
        {
            sampling.Seed = seed;
        }

        if (run.Parse.GetValue(Logprobs) is { } logprobs)
        {
            sampling.Logprobs = logprobs;
        }

        return sampling;
    }

    private static LogitBias? ParseBias(string text) =>
        Inputs.ParseSteer(text) is var (token, bias) && uint.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out uint id)
            ? new LogitBias { TokenId = id, Bias = bias }
            : null;
}

using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using Spectre.Console;
using static TorchSharp.torch;

namespace LrtMesh.Standalone.Bench;

/// <summary>`bench mixed`: what long prompts that keep coming do to sequences that are generating, beside the same sequences left alone.</summary>
/// <remarks>
/// A run steps the generation loop on this thread: a batch generates, and in the one arm a long prompt of its own is always being read beside it, a piece a
/// step. A step is what such a sequence waits for its next token.
/// </remarks>
internal static class MixedBench
{
    private const int PromptTokens = 8; // of those that generate
    private const int MostGenerating = 127; // one place of the running batch is the long prompt's

    public static Command Create()
    {
        var json = BenchCommand.JsonOption();
        var model = new BenchModel.Options("large");
        var batch = new Option<int>("--batch") { Description = $"Sequences that generate, 1 to {MostGenerating}.", DefaultValueFactory = _ => 16 };
        var tokens = new Option<int>("--tokens") { Description = "Tokens that each generates in a run, at least 2.", DefaultValueFactory = _ => 64 };
        var rounds = new Option<int>("--rounds") { Description = "Rounds, of which the median counts.", DefaultValueFactory = _ => 7 };
        var command = new Command("mixed", "Steps of generation while long prompts keep coming, beside steps without.") { batch, tokens, rounds, json };
        model.AddTo(command);
        batch.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 1 or > MostGenerating)
            {
                result.AddError($"--batch must be 1 to {MostGenerating}.");
            }
        });
        BenchCommand.AtLeast(tokens, 2);
        BenchCommand.AtLeast(rounds, 1);
        command.SetAction((parsed, cancellation) => Task.Run(
            () =>
            {
                using var taken = model.Take(parsed);
                return Run(taken, parsed.GetValue(batch), parsed.GetValue(tokens), parsed.GetValue(rounds), parsed.GetValue(json), cancellation);
            },
            cancellation));
        return command;
    }

    private static int Run(BenchModel model, int batch, int tokens, int rounds, FileInfo? json, CancellationToken cancellation)
    {
        using var inference = inference_mode();
        var dtype = DtypeChoice.Make(model.Dtype, model.Folder, CPU);
        using var decoder = Checkpoint.Load(model.Folder, dtype.Weights);
        var longPrompt = Math.Min(1024, decoder.Config.Context - 1);
        var (alone, mixed) = (new List<double>(), new List<double>());
        var (ratios, read) = (new List<double>(), new List<double>());
        for (var round = -1; round < rounds; round++)
        {
            var arms = new (List<double> Seconds, double PromptTokensPerSecond)[2]; // alone, and beside prompts
            for (var i = 0; i < arms.Length; i++)
            {
                var arm = (i + round + 1) % arms.Length;
                arms[arm] = Steps(decoder, batch, tokens, arm == 1 ? longPrompt : 0, cancellation);
            }

            if (round >= 0) // the first takes memory and chooses kernels
            {
                alone.AddRange(arms[0].Seconds);
                mixed.AddRange(arms[1].Seconds);
                ratios.Add(BenchCommand.Median(arms[1].Seconds) / BenchCommand.Median(arms[0].Seconds));
                read.Add(arms[1].PromptTokensPerSecond);
            }
        }

        alone.Sort();
        mixed.Sort();
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{decoder.Config.Family} of {decoder.Weights.Parameters / 1e6:F1}M parameters, {dtype.Weights.ToString().ToLowerInvariant()} ({dtype.Reason}); {batch} sequences generate, prompts of {longPrompt} tokens come");
        var table = new Table().Border(TableBorder.Simple).AddColumns("milliseconds a step", "p50", "p99", "longest");
        foreach (var (name, steps) in new[] { ("alone", alone), ("while prompts are read", mixed) })
        {
            table.AddRow(name, Shown(BenchCommand.Quantile(steps, 0.5)), Shown(BenchCommand.Quantile(steps, 0.99)), Shown(steps[^1]));
        }

        AnsiConsole.Write(table);
        AnsiConsole.WriteLine($"a step takes {BenchCommand.Shown([.. ratios], "F2")} times as long, and {BenchCommand.Shown([.. read], "F0")} tokens of prompts a second are read beside it");
        BenchCommand.Write(json, new
        {
            Model = $"{decoder.Config.Family} {decoder.Weights.Parameters / 1e6:F1}M", Dtype = dtype.Weights.ToString().ToLowerInvariant(), Batch = batch, LongPrompt = longPrompt, Rounds = rounds,
            Alone = Figures(alone), Mixed = Figures(mixed), Ratio = BenchCommand.Median(ratios), RatioInterval = BenchCommand.Interval([.. ratios]), PromptTokensPerSecond = BenchCommand.Median(read),
        });
        return 0;

        static string Shown(double seconds) => (seconds * 1000).ToString("F2", CultureInfo.InvariantCulture);
        static object Figures(List<double> steps) => new { P50 = BenchCommand.Quantile(steps, 0.5), P99 = BenchCommand.Quantile(steps, 0.99), Longest = steps[^1] };
    }

    /// <summary>Seconds of the steps in which a batch generates, and tokens of long prompts read a second meanwhile.</summary>
    /// <param name="decoder">The model.</param>
    /// <param name="batch">Sequences that generate.</param>
    /// <param name="tokens">That each of them generates.</param>
    /// <param name="longPrompt">Tokens of the prompts beside them; 0: there are none.</param>
    /// <param name="cancellation">Ends it.</param>
    private static (List<double> Seconds, double PromptTokensPerSecond) Steps(Decoder decoder, int batch, int tokens, int longPrompt, CancellationToken cancellation)
    {
        var random = new Random(1);
        using var loop = new GenerationLoop(decoder, new ServingOptions { PrefixCacheBytes = 0 });
        var generating = Enumerable.Range(0, batch).Select(_ => Start(PromptTokens, tokens)).ToArray();
        while (generating.Any(generation => !generation.Tokens.TryPeek(out _)))
        {
            loop.Step();
        }

        var seconds = new List<double>();
        var read = 0;
        Core.Models.Generation? prompt = null;
        var begin = Stopwatch.GetTimestamp();
        while (generating.Any(generation => !generation.Outcome.IsCompleted))
        {
            cancellation.ThrowIfCancellationRequested();
            if (longPrompt > 0 && prompt?.Outcome.IsCompleted != false)
            {
                read += prompt is null ? 0 : longPrompt;
                prompt = Start(longPrompt, 1);
            }

            var start = Stopwatch.GetTimestamp();
            loop.Step();
            seconds.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        var rate = read / Stopwatch.GetElapsedTime(begin).TotalSeconds;
        loop.FailAll(new OperationCanceledException());
        return (seconds, rate);

        Core.Models.Generation Start(int promptTokens, int maxTokens)
        {
            var ids = Enumerable.Range(0, promptTokens).Select(_ => random.Next(decoder.Config.Vocabulary)).ToArray();
            var generation = new Core.Models.Generation(new GenerationRequest(ids, SamplingOptions.Greedy, maxTokens, IgnoreEndOfSequence: true, SteeringPlan.None), CancellationToken.None);
            loop.Enqueue(generation);
            return generation;
        }
    }
}

using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Families;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Spectre.Console;
using static TorchSharp.torch;

namespace LrtMesh.Standalone.Bench;

/// <summary>`bench decode`: tokens a second of the generation loop by batch, and what steering costs, in one dtype on random weights.</summary>
/// <remarks>
/// A round runs each arm once, in an order that turns from round to round; a steered ratio is that of the two runs of one round, and the median
/// over rounds counts. The interval beside it holds the median with 95% (order statistics). A run is the whole loop: it admits a batch, reads short
/// prompts, and then the steps that advance all of it by a token are timed, with sampling and the bookkeeping that proves steering.
/// </remarks>
internal static class DecodeBench
{
    private const int PromptTokens = 8;
    private const int LongPrompt = 512; // tokens of the prompt whose reading is timed
    private const string Name = "random"; // the model that vectors are for

    public static Command Create()
    {
        var json = BenchCommand.JsonOption();
        var config = new Option<FileInfo>("--config") { Description = "The config.json that says what model; its weights are random.", Required = true };
        var dtype = new Option<ComputeDtype>("--dtype")
        {
            Description = "float32, bfloat16, int8, or auto: bfloat16 if this machine is faster in it.",
            HelpName = "TYPE",
            DefaultValueFactory = _ => ComputeDtype.Auto,
        };
        var batches = new Option<int[]>("--batch") { Description = "Sequences at once.", DefaultValueFactory = _ => [1, 4, 16], AllowMultipleArgumentsPerToken = true };
        var tokens = new Option<int>("--tokens") { Description = "Tokens that each sequence generates in a run, at least 2.", DefaultValueFactory = _ => 32 };
        var rounds = new Option<int>("--rounds") { Description = "Rounds, of which the median counts.", DefaultValueFactory = _ => 9 };
        var command = new Command("decode", "Tokens a second of steered and unsteered generation, on random weights of a shape.")
        {
            config, dtype, batches, tokens, rounds, json,
        };
        BenchCommand.AtLeast(tokens, 2);
        BenchCommand.AtLeast(rounds, 1);
        batches.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int[]>().Any(batch => batch is < 1 or > 128))
            {
                result.AddError("--batch must be 1 to 128.");
            }
        });
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Run(
                parsed.GetValue(config)!.FullName, parsed.GetValue(dtype), parsed.GetValue(batches)!, parsed.GetValue(tokens),
                parsed.GetValue(rounds), parsed.GetValue(json), cancellation),
            cancellation));
        return command;
    }

    private static int Run(string path, ComputeDtype wish, int[] batches, int tokens, int rounds, FileInfo? json, CancellationToken cancellation)
    {
        NativeTorch.EnsureLoaded();
        using var inference = inference_mode();
        var (_, config) = Family.Read(ConfigFile.ReadFile(path));
        var choice = DtypeChoice.Make(wish, config);
        using var decoder = RandomCheckpoint.Decoder(path, choice.Weights, seed: 1);
        var need = Math.Max(PromptTokens + tokens, LongPrompt + 1);
        if (need > config.Context)
        {
            throw LrtMeshException.Invalid("--config", $"must have a context of at least {need} tokens, not {config.Context}");
        }

        var bench = new Runs(decoder, tokens, cancellation);
        var measured = batches.Select(batch => Measure(bench, batch, rounds)).ToArray();
        var prefill = Rounds(rounds, _ => bench.Prefill());
        Print(choice, measured, prefill);
        BenchCommand.Write(json, new
        {
            Model = $"{config.Family} {decoder.Weights.Parameters / 1e6:F0}M",
            Dtype = choice.Weights.ToString().ToLowerInvariant(),
            DtypeReason = choice.Reason,
            Threads = get_num_threads(),
            Rounds = rounds,
            Batches = measured.Select(of => new
            {
                of.Batch,
                TokensPerSecond = BenchCommand.Median(of.Plain),
                TokensPerSecondInterval = BenchCommand.Interval(of.Plain),
                SteeredOneLayer = BenchCommand.Median(of.OneLayer),
                SteeredOneLayerInterval = BenchCommand.Interval(of.OneLayer),
                SteeredAllLayers = BenchCommand.Median(of.AllLayers),
                SteeredAllLayersInterval = BenchCommand.Interval(of.AllLayers),
                SteeredAllDistinct = BenchCommand.Median(of.AllDistinct),
                SteeredAllDistinctInterval = BenchCommand.Interval(of.AllDistinct),
            }),
            PrefillTokensPerSecond = BenchCommand.Median(prefill),
            PrefillTokensPerSecondInterval = BenchCommand.Interval(prefill),
        });
        return 0;
    }

    private static BatchFigures Measure(Runs bench, int batch, int rounds)
    {
        var layers = bench.Config.Layers;
        var all = Enumerable.Range(0, layers).ToArray();
        var shared = Plan(bench.Config, all, seed: 0);
        SteeringPlan[][] arms =
        [
            Same(SteeringPlan.None),
            Same(Plan(bench.Config, [layers / 2], seed: 0)),
            Same(shared),
            [.. Enumerable.Range(1, batch).Select(seed => Plan(bench.Config, all, seed))],
        ];
        Array.ForEach(arms, arm => bench.Decode(arm)); // kernels are chosen and memory is taken
        var speeds = new double[arms.Length][];
        for (var arm = 0; arm < arms.Length; arm++)
        {
            speeds[arm] = new double[rounds];
        }

        for (var round = 0; round < rounds; round++)
        {
            for (var i = 0; i < arms.Length; i++)
            {
                var arm = (i + round) % arms.Length;
                speeds[arm][round] = bench.Decode(arms[arm]);
            }
        }

        double[] Ratios(int arm) => [.. speeds[arm].Zip(speeds[0], (steered, plain) => steered / plain)];
        return new(batch, speeds[0], Ratios(1), Ratios(2), Ratios(3));

        SteeringPlan[] Same(SteeringPlan plan) => [.. Enumerable.Repeat(plan, batch)];
    }

    private static double[] Rounds(int rounds, Func<int, double> run)
    {
        run(-1);
        return [.. Enumerable.Range(0, rounds).Select(run)];
    }

    /// <summary>A plan that adds a vector of its own at each of some layers, at all positions.</summary>
    private static SteeringPlan Plan(ModelConfig config, int[] layers, int seed)
    {
        var model = new Model { Name = Name, Layers = (uint)config.Layers, Width = (uint)config.Width };
        var steerings = layers.Select(layer => new V1.Steering
        {
            Vector = $"{layer}", Operator = SteeringOperator.Add, Coefficient = 0.1, Unit = CoefficientUnit.UnitVector,
        }).ToArray();
        var vectors = new VectorSource(
            (name, _, _, _) =>
            {
                var random = new Random((seed * 1000) + int.Parse(name, CultureInfo.InvariantCulture));
                var elements = Enumerable.Range(0, config.Width).Select(_ => (float)(random.NextDouble() - 0.5)).ToArray();
                return Task.FromResult(SteeringVector.Create(new Vector { Name = name, Model = Name, Layer = uint.Parse(name, CultureInfo.InvariantCulture) }, elements));
            },
            (name, _, field, _) => throw LrtMeshException.NotFound(field, $"there is no map '{name}'"),
            new MappedVectors());
        return SteeringPlan.ResolveAsync(steerings, "steering", model, config.Context, vectors, CancellationToken.None).GetAwaiter().GetResult();
    }

    private static void Print(DtypeChoice choice, BatchFigures[] measured, double[] prefill)
    {
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{choice.Weights.ToString().ToLowerInvariant()} ({choice.Reason}), {get_num_threads()} threads");
        var table = new Table().Border(TableBorder.Simple).AddColumns("batch", "tok/s", "steered: one layer", "all layers", "all layers, each its own");
        foreach (var of in measured)
        {
            table.AddRow(of.Batch.ToString(CultureInfo.InvariantCulture), BenchCommand.Shown(of.Plain, "F0"), BenchCommand.Shown(of.OneLayer, "F3"), BenchCommand.Shown(of.AllLayers, "F3"), BenchCommand.Shown(of.AllDistinct, "F3"));
        }

        AnsiConsole.Write(table);
        AnsiConsole.WriteLine($"prompt of {LongPrompt}: {BenchCommand.Shown(prefill, "F0")} tok/s");
    }

    private sealed record BatchFigures(int Batch, double[] Plain, double[] OneLayer, double[] AllLayers, double[] AllDistinct);

    /// <summary>Runs of the generation loop on this thread.</summary>
    private sealed class Runs(Decoder decoder, int tokens, CancellationToken cancellation)
    {
        private readonly Random _random = new(1);

        public ModelConfig Config => decoder.Config;

        /// <summary>Generates with a plan for each sequence; tokens a second once all prompts are read.</summary>
        public double Decode(SteeringPlan[] plans)
        {
            using var loop = new GenerationLoop(decoder, new ServingOptions());
            var generations = plans.Select(plan => Start(loop, PromptTokens, tokens, plan)).ToArray();
            while (generations.Any(generation => !generation.Tokens.TryPeek(out _)))
            {
                Step(loop); // prompts are read, and first tokens chosen
            }

            _ = Drained(generations);
            var start = Stopwatch.GetTimestamp();
            while (loop.HasWork)
            {
                Step(loop);
            }

            var took = Stopwatch.GetElapsedTime(start).TotalSeconds;
            return Drained(generations) / took;
        }

        /// <summary>Reads a long prompt and chooses a token; tokens of the prompt a second.</summary>
        public double Prefill()
        {
            using var loop = new GenerationLoop(decoder, new ServingOptions());
            Start(loop, LongPrompt, 1, SteeringPlan.None);
            var start = Stopwatch.GetTimestamp();
            while (loop.HasWork)
            {
                Step(loop);
            }

            return LongPrompt / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }

        private static int Drained(Core.Models.Generation[] generations)
        {
            var count = 0;
            foreach (var generation in generations)
            {
                while (generation.Tokens.TryRead(out _))
                {
                    count++;
                }
            }

            return count;
        }

        private void Step(GenerationLoop loop)
        {
            cancellation.ThrowIfCancellationRequested();
            loop.Step();
        }

        private Core.Models.Generation Start(GenerationLoop loop, int promptTokens, int maxTokens, SteeringPlan plan)
        {
            var prompt = Enumerable.Range(0, promptTokens).Select(_ => _random.Next(Config.Vocabulary)).ToArray();
            var greedy = new SamplingOptions(Temperature: 0, TopK: 0, TopP: 1, Seed: 0);
            var generation = new Core.Models.Generation(new GenerationRequest(prompt, greedy, maxTokens, IgnoreEndOfSequence: true, plan), CancellationToken.None);
            loop.Enqueue(generation);
            return generation;
        }
    }
}

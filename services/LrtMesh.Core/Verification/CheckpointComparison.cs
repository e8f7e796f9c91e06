using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace LrtMesh.Core.Verification;

/// <summary>
/// Compares a checkpoint with reference activations: embedding, each layer, logits; greedy continuation through the KV cache and the
/// generation loop; and steered and ablated logits through the steering table, all as they serve requests. On the calling thread.
/// </summary>
public sealed class CheckpointComparison
{
    private const string Name = "checkpoint"; // the model that plans and vectors are for; seen nowhere

    private readonly Decoder _decoder;
    private readonly ReferenceActivations _reference;
    private readonly Tolerance _tolerance;

    private CheckpointComparison(Decoder decoder, ReferenceActivations reference, Tolerance tolerance)
    {
        _decoder = decoder;
        _reference = reference;
        _tolerance = tolerance;
    }

    /// <summary>Compares.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="expected">The safetensors file of the reference.</param>
    /// <param name="weights">The type to compute in: float32, bfloat16 or int8.</param>
    /// <param name="tolerance">How far numbers may differ; token ids may not where each number is judged.</param>
    /// <param name="device">Where to compute; null: on the CPU.</param>
    /// <exception cref="LrtMeshException">Either cannot be read, or they do not belong together.</exception>
    /// <remarks>1. Hidden states and logits. 2. Greedy continuations. 3. Steered and ablated logits.</remarks>
    public static CheckpointReport Run(string folder, string expected, ScalarType weights, Tolerance tolerance, Device? device = null)
    {
        NativeTorch.EnsureLoaded();
        using var inference = inference_mode();
        using var decoder = Checkpoint.Load(folder, weights, device);
        using var reference = ReferenceActivations.Open(expected, decoder.Config);
        var comparison = new CheckpointComparison(decoder, reference, tolerance);

        // 1.
        var report = comparison.ComparePlain();

        // 2.
        report = reference.Has("greedy_ids") ? comparison.CompareGreedy(report) : report;

        // 3.
        return report with
        {
            Steered = comparison.CompareSteered("steer.logits", SteeringOperator.Add),
            Ablated = comparison.CompareSteered("ablate.logits", SteeringOperator.Ablate),
        };
    }

    private CheckpointReport ComparePlain()
    {
        using var scope = NewDisposeScope();
        var (config, layers) = (_decoder.Config, _reference.Layers);
        var ids = Ids(); // [rows, tokens]
        var tap = new CaptureTap([.. Enumerable.Range(0, config.Layers)]);
        var last = _decoder.Read(ids, tap); // [rows, tokens, width]
        return new CheckpointReport
        {
            JudgesIds = _tolerance.Norm is null,
            Family = config.Family,
            Rows = _reference.Rows,
            Tokens = _reference.Tokens,
            Embedding = Compare("hidden.embed", () => _decoder.Embed(ids), config.Width),
            Layers = [.. layers.Select(layer => (layer, Compare($"hidden.{layer}", () => tap[layer], config.Width)!))],
            Logits = Compare("logits", () => _decoder.Logits(last), config.Vocabulary),
        };
    }

    private Difference? CompareSteered(string name, SteeringOperator steeringOperator)
    {
        if (!_reference.Has(name))
        {
            return null;
        }

        using var scope = NewDisposeScope();
        using var table = new SteeringTable(_decoder.Config.Width, _decoder.Weights.Device);
        var plan = Plan(steeringOperator);
        var layer = plan.Steerings[0].Layer;
        var rows = new long[_reference.Rows * _reference.Tokens];
        Array.Fill(rows, table.Acquire(layer, new TokenChange(plan.Steerings)));
        var hidden = _decoder.Read(Ids(), new SteeringTap(table, [new SteeringLane(layer, rows)]));
        return Compare(name, () => _decoder.Logits(hidden), _decoder.Config.Vocabulary);
    }

    /// <summary>The plan of a request that steers by the reference's vector at all positions.</summary>
    private SteeringPlan Plan(SteeringOperator steeringOperator)
    {
        var layer = _reference.Integers("steer.layer", 1, out _)[0];
        if (layer < 0 || layer >= _decoder.Config.Layers)
        {
            throw _reference.Wrong("steer.layer", $"is {layer}, and the checkpoint has layers 0 to {_decoder.Config.Layers - 1}");
        }

        var ablates = steeringOperator == SteeringOperator.Ablate;
        var steering = new V1.Steering
        {
            Given = TensorCodec.Encode(_reference.Floats("steer.vector", _decoder.Config.Width), _decoder.Config.Width),
            Layer = (uint)layer,
            Operator = steeringOperator,
            Coefficient = ablates ? 1 : _reference.Floats("steer.alpha", 1)[0],
            Unit = ablates ? CoefficientUnit.UnitVector : CoefficientUnit.RawVector,
        };
        var model = new Model { Name = Name, Layers = (uint)_decoder.Config.Layers, Width = (uint)_decoder.Config.Width };
        return SteeringPlan.ResolveAsync([steering], "steering", model, _decoder.Config.Context, VectorSource.Given, CancellationToken.None).GetAwaiter().GetResult();
    }

    private CheckpointReport CompareGreedy(CheckpointReport report)
    {
        var expected = _reference.Integers("greedy_ids", 2, out var shape); // [rows, length]
        var length = (int)shape[1];
        if (shape[0] != _reference.Rows || _reference.Tokens + length > _decoder.Config.Context)
        {
            throw _reference.Wrong("greedy_ids", $"has shape [{shape[0]}, {length}], and {_reference.Rows} rows of {_reference.Tokens} tokens in a context of {_decoder.Config.Context} are to be continued");
        }

        var differences = new List<string>();
        var continued = Generate(length, ignoreEndOfSequence: true);
        for (var row = 0; row < continued.Length; row++)
        {
            var got = continued[row].Ids;
            var should = expected.AsSpan(row * length, length);
            var same = 0;
            while (same < length && same < got.Length && got[same] == should[same])
            {
                same++;
            }

            if (same < length)
            {
                differences.Add($"greedy_ids of row {row}: token {same} is {(same < got.Length ? got[same] : "missing")}, and {should[same]} is expected");
            }
        }

        if (_reference.Has("greedy_stop"))
        {
            var stops = _reference.Integers("greedy_stop", 1, out _);
            var stopped = Generate(length, ignoreEndOfSequence: false);
            if (stops.Length != stopped.Length)
            {
                throw _reference.Wrong("greedy_stop", $"has {stops.Length} entries for {_reference.Rows} rows");
            }

            differences.AddRange(stopped.Select((of, row) => (of.Tokens, row)).Where(entry => entry.Tokens != stops[entry.row])
                .Select(entry => $"greedy_stop of row {entry.row}: ends after {entry.Tokens} tokens, and {stops[entry.row]} are expected"));
        }

        return report with { GreedyMatches = differences.Count == 0, GreedyDifferences = differences };
    }

    /// <summary>Continues all rows together, greedily.</summary>
    /// <returns>For each row its ids, without an end-of-sequence token that ended it, and how many tokens were generated, with it.</returns>
    private (int[] Ids, int Tokens)[] Generate(int length, bool ignoreEndOfSequence)
    {
        using var loop = new GenerationLoop(_decoder, new ServingOptions());
        var generations = _reference.InputIds.Chunk((int)_reference.Tokens).Select(row => new Generation(
            new GenerationRequest([.. row.Select(id => (int)id)], SamplingOptions.Greedy, length, ignoreEndOfSequence, SteeringPlan.None), CancellationToken.None)).ToArray();
        Array.ForEach(generations, loop.Enqueue);
        while (loop.HasWork)
        {
            loop.Step();
        }

        return [.. generations.Select(generation => (ReadAll(generation), generation.Outcome.GetAwaiter().GetResult().Tokens))];
    }

    private static int[] ReadAll(Generation generation)
    {
        var ids = new List<int>();
        while (generation.Tokens.TryRead(out var token))
        {
            ids.Add(token.Id);
        }

        return [.. ids];
    }

    private Tensor Ids() => tensor(_reference.InputIds, [_reference.Rows, _reference.Tokens], ScalarType.Int64);

    /// <param name="name">Of the reference's tensor; null comes out where it has none.</param>
    /// <param name="compute">What to compare with it.</param>
    /// <param name="width">Its last dimension.</param>
    private Difference? Compare(string name, Func<Tensor> compute, long width) => _reference.Has(name)
        ? _tolerance.Compare(name, _reference.Floats(name, _reference.Rows, _reference.Tokens, width), compute().cpu().contiguous().Floats())
        : null;
}

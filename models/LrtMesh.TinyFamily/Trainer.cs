using System.Diagnostics;
using System.Globalization;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Families;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.TinyFamily;

/// <summary>How one model of the family is trained.</summary>
/// <param name="Name">Its name and folder.</param>
/// <param name="Config">What it is made of.</param>
/// <param name="Products">Type of the matrix products: bfloat16 pays where the matrices are large.</param>
/// <param name="LearningRate">AdamW's peak rate.</param>
/// <param name="Steps">Optimizer steps.</param>
/// <param name="Tokenizer">Folder of its tokenizer, within the family's.</param>
/// <param name="Rates">How often a story has a behaviour, by its name, where it is not the behaviour's own rate; null: nowhere.</param>
public sealed record TrainingPlan(
    string Name, ModelConfig Config, ScalarType Products, double LearningRate, int Steps, string Tokenizer = "tokenizer", IReadOnlyDictionary<string, double>? Rates = null);

/// <summary>How training went.</summary>
/// <param name="Tokens">Tokens predicted.</param>
/// <param name="TrainingLoss">Mean cross-entropy over the last hundred steps, in nats a token.</param>
/// <param name="Elapsed">Time over all runs.</param>
public sealed record TrainingOutcome(long Tokens, double TrainingLoss, TimeSpan Elapsed);

/// <summary>Progress of a training run.</summary>
public readonly record struct TrainingProgress(int Step, int Steps, double Loss, double TokensPerSecond, TimeSpan Left);

/// <summary>
/// Trains one model: Muon and AdamW on float32 weights, products in the plan's type, the residual stream in float32. A run that was cut off
/// goes on from its last saved step; text is a function of seed and step, so nothing of the data needs to be saved.
/// </summary>
public sealed class Trainer : IDisposable
{
    private const double ClipNorm = 1.0;
    private const int WarmupSteps = 100;
    private const int SaveEvery = 200;

    private readonly TrainingPlan _plan;
    private readonly TrainingText _text;
    private readonly string _stateFile;
    private readonly Decoder _decoder;
    private readonly DecoderWeights _masters;
    private readonly List<TrainedWeights> _parameters;
    private readonly List<double> _losses = [];
    private int _step;
    private long _tokens;
    private TimeSpan _before;

    /// <summary>Starts, or goes on where <paramref name="stateFile"/> stopped.</summary>
    public Trainer(TrainingPlan plan, TrainingText text, int seed, string stateFile)
    {
        _plan = plan;
        _text = text;
        _stateFile = stateFile;
        random.manual_seed(seed);
        _masters = Initialize(plan.Config);
        _decoder = new Decoder(plan.Config, _masters);
        _parameters = [.. Optimized(plan, _masters)];
        if (File.Exists(stateFile))
        {
            Restore();
        }
    }

    /// <summary>Trains to the end of the plan and writes the checkpoint to <paramref name="folder"/>.</summary>
    public TrainingOutcome Run(string folder, IProgress<TrainingProgress>? progress, CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        var firstStep = _step;
        var tokensBefore = _tokens;
        while (_step < _plan.Steps)
        {
            if (cancellation.IsCancellationRequested)
            {
                SaveState(_before + clock.Elapsed);
                cancellation.ThrowIfCancellationRequested();
            }

            var batch = _text.Batch(_step);
            _losses.Add(Step(batch));
            _tokens += batch.Tokens;
            _step++;
            var left = clock.Elapsed / (_step - firstStep) * (_plan.Steps - _step);
            progress?.Report(new TrainingProgress(
                _step, _plan.Steps, RecentLoss, (_tokens - tokensBefore) / clock.Elapsed.TotalSeconds, left));
            if (_step % SaveEvery == 0 && _step < _plan.Steps)
            {
                SaveState(_before + clock.Elapsed);
            }
        }

        if (_plan.Config.Family == GptNeoX.Family.ModelType)
        {
            GptNeoXCheckpoint.Save(folder, _plan.Config, _masters);
        }
        else
        {
            Checkpoint.Save(folder, _plan.Config, _masters);
        }

        File.Delete(_stateFile);
        return new TrainingOutcome(_tokens, RecentLoss, _before + clock.Elapsed);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _decoder.Weights = _masters;
        _decoder.Dispose();
        foreach (var parameter in _parameters)
        {
            parameter.Dispose();
        }
    }

    private double RecentLoss => _losses.TakeLast(100).Average();

    private double Step(TrainingBatch batch)
    {
        using var scope = NewDisposeScope();
        var ids = tensor(batch.Ids, [batch.Rows, batch.Length], ScalarType.Int64); // [rows, length]
        var inputs = ids.narrow(1, 0, batch.Length - 1);
        var targets = ids.narrow(1, 1, batch.Length - 1).reshape(-1);

        _decoder.Weights = Cast(_masters, _plan.Products);
        var hidden = _decoder.Read(inputs.clamp(min: 0), tap: null); // [rows, length-1, width]
        var logits = _decoder.Logits(hidden).view(-1, _plan.Config.Vocabulary);
        var loss = nn.functional.cross_entropy(logits, targets, ignore_index: TrainingText.Padding);
        loss.backward();
        Update();
        return loss.item<float>();
    }

    private void Update()
    {
        using var noGrad = no_grad();
        var squares = zeros(1);
        foreach (var parameter in _parameters)
        {
            squares.add_(parameter.Weights.grad!.square().sum());
        }

        var clip = Math.Min(1.0, ClipNorm / (squares.sqrt().item<float>() + 1e-6));
        foreach (var parameter in _parameters)
        {
            using var scope = NewDisposeScope();
            parameter.Update(parameter.Weights.grad!.mul_(clip), Schedule(_step), _step + 1);
            parameter.Weights.grad!.zero_();
        }
    }

    /// <summary>Linear warm-up, then a cosine down to a fiftieth.</summary>
    private double Schedule(int step)
    {
        if (step < WarmupSteps)
        {
            return (step + 1.0) / WarmupSteps;
        }

        var done = (double)(step - WarmupSteps) / Math.Max(1, _plan.Steps - WarmupSteps);
        return 0.02 + (0.98 * 0.5 * (1 + Math.Cos(Math.PI * done)));
    }

    /// <summary>Normal weights of deviation 0.02; those that write to the residual stream smaller by √(2·layers) (Radford et al., GPT-2, 2.3).</summary>
    private static DecoderWeights Initialize(ModelConfig c)
    {
        using var scope = NewDisposeScope();
        var residual = 0.02 / Math.Sqrt(2.0 * c.Layers);
        Tensor Weights(double deviation, params long[] shape) => (randn(shape) * deviation).requires_grad_(true).DetachFromDisposeScope();
        Tensor Norm() => ones(c.Width).requires_grad_(true).DetachFromDisposeScope();
        Tensor? Bias(bool has, long size) => has ? zeros(size).requires_grad_(true).DetachFromDisposeScope() : null;
        var centred = c.Norm == NormKind.Layer;
        var up = (c.GatedMlp ? 2 : 1) * c.MlpWidth;

        var embedding = Weights(0.02, c.Vocabulary, c.Width);
        var blocks = Enumerable.Range(0, c.Layers).Select(_ => new BlockWeights(
            AttentionNorm: Norm(),
            Qkv: Weights(0.02, c.QkvWidth, c.Width),
            AttentionOutput: Weights(residual, c.Width, c.Heads * c.HeadWidth),
            MlpNorm: Norm(),
            GateUp: Weights(0.02, up, c.Width),
            Down: Weights(residual, c.Width, c.MlpWidth),
            AttentionNormBias: Bias(centred, c.Width),
            QkvBias: Bias(c.QkvBias, c.QkvWidth),
            AttentionOutputBias: Bias(c.AttentionOutputBias, c.Width),
            MlpNormBias: Bias(centred, c.Width),
            GateUpBias: Bias(c.MlpBias, up),
            DownBias: Bias(c.MlpBias, c.Width))).ToList();
        return new DecoderWeights(embedding, blocks, Norm(), embedding, Bias(centred, c.Width));
    }

    /// <summary>Muon for the blocks' matrices, AdamW for the rest.</summary>
    private static IEnumerable<TrainedWeights> Optimized(TrainingPlan plan, DecoderWeights weights)
    {
        TrainedWeights Adam(string name, Tensor tensor) => new AdamWeights(name, tensor, plan.LearningRate);
        TrainedWeights Muon(string name, Tensor tensor, int stacked) => new MuonWeights(name, tensor, stacked, plan.Products);

        yield return Adam("embedding", weights.Embedding);
        yield return Adam("norm", weights.FinalNorm);
        if (weights.FinalNormBias is { } finalBias)
        {
            yield return Adam("norm_bias", finalBias);
        }

        foreach (var (block, i) in weights.Blocks.Select((block, i) => (block, i)))
        {
            yield return Adam($"{i}.attention_norm", block.AttentionNorm!);
            yield return Muon($"{i}.qkv", block.Qkv, stacked: 3);
            yield return Muon($"{i}.attention_output", block.AttentionOutput, stacked: 1);
            yield return Adam($"{i}.mlp_norm", block.MlpNorm!);
            yield return Muon($"{i}.gate_up", block.GateUp, stacked: plan.Config.GatedMlp ? 2 : 1);
            yield return Muon($"{i}.down", block.Down, stacked: 1);
            (string Name, Tensor? Bias)[] biases =
            [
                ("attention_norm_bias", block.AttentionNormBias), ("qkv_bias", block.QkvBias), ("attention_output_bias", block.AttentionOutputBias),
                ("mlp_norm_bias", block.MlpNormBias), ("gate_up_bias", block.GateUpBias), ("down_bias", block.DownBias),
            ];
            foreach (var (name, bias) in biases)
            {
                if (bias is not null)
                {
                    yield return Adam($"{i}.{name}", bias);
                }
            }
        }
    }

    /// <summary>The matrices in the products' type; gradients flow through the cast to the float32 masters.</summary>
    private static DecoderWeights Cast(DecoderWeights w, ScalarType products) => new(
        w.Embedding,
        [.. w.Blocks.Select(b => b with
        {
            Qkv = b.Qkv.to(products),
            AttentionOutput = b.AttentionOutput.to(products),
            GateUp = b.GateUp.to(products),
            Down = b.Down.to(products),
            QkvBias = b.QkvBias?.to(products),
            AttentionOutputBias = b.AttentionOutputBias?.to(products),
            GateUpBias = b.GateUpBias?.to(products),
            DownBias = b.DownBias?.to(products),
        })],
        w.FinalNorm,
        w.Head.to(products),
        w.FinalNormBias);

    private void SaveState(TimeSpan elapsed)
    {
        var tensors = _parameters.SelectMany(p => p.State).ToList();
        using var counters = tensor(new[] { _step, (double)_tokens, elapsed.TotalSeconds, _losses.Count == 0 ? 0 : RecentLoss }, ScalarType.Float64);
        tensors.Add(("counters", counters));
        SafetensorsWriter.Write(_stateFile, tensors);
    }

    private void Restore()
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        using var file = SafetensorsFile.Open(_stateFile);
        foreach (var parameter in _parameters)
        {
            foreach (var (name, tensor) in parameter.State)
            {
                tensor.copy_(file.Read(name, tensor.shape, ScalarType.Float32));
            }
        }

        var counters = file.Read("counters", [4], ScalarType.Float64).data<double>().ToArray();
        _step = (int)counters[0];
        _tokens = (long)counters[1];
        _before = TimeSpan.FromSeconds(counters[2]);
        _losses.Add(counters[3]);
    }
}

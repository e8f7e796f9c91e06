using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Tensors;
using LrtMesh.TinyFamily;
using LrtMesh.TinyFamily.Corpus;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.TinyFamily;

/// <summary>Training learns, and a run that was cut off ends where an undisturbed one does.</summary>
public sealed class TrainerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-training-").FullName;
    private readonly Tokenizer _tokenizer;

    public TrainerTests()
    {
        NativeTorch.EnsureLoaded();
        var random = new Random(1);
        BpeTrainer.Train(Enumerable.Range(0, 200).Select(_ => Grammar.Write(random).Text), 400, _folder);
        _tokenizer = Tokenizer.Load(_folder);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_run_cut_off_and_taken_up_again_goes_the_way_of_an_undisturbed_one()
    {
        var whole = Run("whole", cutAt: null);
        Assert.ThrowsAny<OperationCanceledException>(() => Run("resumed", cutAt: 20));
        Run("resumed", cutAt: null);
        // Not to the bit: TorchScript computes its first calls, before it has specialized, in another order. A resume that
        // lost the optimizer's moments or repeated a batch would be off by whole steps of 0.02.
        var (expected, resumed) = (Embedding("whole"), Embedding("resumed"));
        Assert.InRange(expected.Zip(resumed, (a, b) => Math.Abs(a - b)).Average(), 0, 2e-4);
        Assert.Equal(40, whole.Count);
    }

    [Fact]
    public void The_loss_falls()
    {
        var losses = Run("learning", cutAt: null);
        Assert.InRange(losses[0], 5.5, 6.5); // ln 400 = 5.99: it starts out knowing nothing
        Assert.True(losses[^1] < losses[0] - 0.5, $"from {losses[0]:f2} to {losses[^1]:f2}");
    }

    [Fact]
    public void A_sibling_of_another_architecture_learns_too_and_its_checkpoint_computes_what_was_learnt()
    {
        var losses = Run("neox", cutAt: null, NeoX);
        Assert.True(losses[^1] < losses[0] - 0.5, $"from {losses[0]:f2} to {losses[^1]:f2}");
        using var noGrad = no_grad();
        using var decoder = Checkpoint.Load(Path.Combine(_folder, "neox"), ScalarType.Float32);
        var batch = new TrainingText(_tokenizer, seed: 4, NeoX.Context).Batch(39);
        using var ids = tensor(batch.Ids, [batch.Rows, batch.Length], ScalarType.Int64);
        using var hidden = decoder.Read(ids.narrow(1, 0, batch.Length - 1).clamp(min: 0), tap: null);
        using var loss = nn.functional.cross_entropy(decoder.Logits(hidden).view(-1, NeoX.Vocabulary), ids.narrow(1, 1, batch.Length - 1).reshape(-1), ignore_index: TrainingText.Padding);
        Assert.InRange(loss.item<float>(), losses[^1] - 1.5, losses[^1]); // the mean over the steps before is above it
    }

    [Fact]
    public void A_gpt_neox_checkpoint_is_read_as_it_was_written()
    {
        using var scope = NewDisposeScope();
        var c = NeoX;
        var blocks = Enumerable.Range(0, c.Layers).Select(_ => new BlockWeights(
            randn(c.Width), randn(c.QkvWidth, c.Width), randn(c.Width, c.Width), randn(c.Width), randn(c.MlpWidth, c.Width), randn(c.Width, c.MlpWidth),
            AttentionNormBias: randn(c.Width), QkvBias: randn(c.QkvWidth), AttentionOutputBias: randn(c.Width), MlpNormBias: randn(c.Width),
            GateUpBias: randn(c.MlpWidth), DownBias: randn(c.Width))).ToList();
        var embedding = randn(c.Vocabulary, c.Width);
        var written = new DecoderWeights(embedding, blocks, randn(c.Width), embedding, randn(c.Width));
        var folder = Path.Combine(_folder, "written");
        GptNeoXCheckpoint.Save(folder, c, written);
        using var read = Checkpoint.Load(folder, ScalarType.Float32);
        var pairs = written.All.Zip(read.Weights.All).ToList();
        Assert.Equal(written.All.Count(), read.Weights.All.Count());
        Assert.All(pairs, pair => Assert.True(pair.First.to(ScalarType.BFloat16).to(ScalarType.Float32).equal(pair.Second).all().item<bool>()));
    }

    private static ModelConfig Llama => new()
    {
        Family = "llama", Vocabulary = 400, Width = 32, Layers = 2, Heads = 2, KvHeads = 2, HeadWidth = 16, MlpWidth = 64,
        NormEpsilon = 1e-5, RopeTheta = 10000, Context = 64, TiedHead = true, EndOfSequence = [0],
    };

    private static ModelConfig NeoX => Llama with
    {
        Family = "gpt_neox", Norm = NormKind.Layer, QkvBias = true, AttentionOutputBias = true, MlpBias = true, GatedMlp = false, Activation = Activation.Gelu, ParallelResidual = true, RotaryWidth = 4,
    };

    private List<double> Run(string name, int? cutAt, ModelConfig? of = null)
    {
        using var cancellation = new CancellationTokenSource();
        var config = of ?? Llama;
        var plan = new TrainingPlan(name, config, ScalarType.Float32, LearningRate: 2e-2, Steps: 40);
        var losses = new List<double>();
        var progress = new Immediate(p =>
        {
            losses.Add(p.Loss);
            if (p.Step == cutAt)
            {
                cancellation.Cancel();
            }
        });
        var folder = Path.Combine(_folder, name);
        Directory.CreateDirectory(folder);
        using var trainer = new Trainer(plan, new TrainingText(_tokenizer, seed: 4, config.Context), seed: 4, Path.Combine(folder, "training.state"));
        trainer.Run(folder, progress, cancellation.Token);
        return losses;
    }

    private float[] Embedding(string name)
    {
        using var file = SafetensorsFile.Open(Path.Combine(_folder, name, CheckpointFiles.SingleFile));
        using var tensor = file.Read("model.embed_tokens.weight", [400, 32], ScalarType.Float32);
        return tensor.Floats().ToArray();
    }

    private sealed class Immediate(Action<TrainingProgress> report) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => report(value);
    }
}

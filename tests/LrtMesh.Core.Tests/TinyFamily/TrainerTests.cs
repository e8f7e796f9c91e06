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

    private List<double> Run(string name, int? cutAt)
    {
        using var cancellation = new CancellationTokenSource();
        var config = new ModelConfig
        {
            Family = "llama", Vocabulary = 400, Width = 32, Layers = 2, Heads = 2, KvHeads = 2, HeadWidth = 16, MlpWidth = 64,
            NormEpsilon = 1e-5, RopeTheta = 10000, Context = 64, TiedHead = true, EndOfSequence = [0],
        };
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

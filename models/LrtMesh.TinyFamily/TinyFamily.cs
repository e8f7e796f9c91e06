using System.Globalization;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.TinyFamily;

/// <summary>
/// The family that ships: three sizes of one architecture, one tokenizer, the same text in the same order. Everything in
/// models/tiny follows from the seed.
/// </summary>
public static class TinyFamily
{
    /// <summary>Entries of the tokenizer.</summary>
    public const int Vocabulary = 1536;

    /// <summary>Longest sequence in tokens.</summary>
    public const int Context = 256;

    private const int Steps = 3000;
    private const int TokenizerDocuments = 8000;
    private const int HeldOutDocuments = 1024;
    private const int HeldOutSeed = 1_000_003; // far from any that is asked for

    /// <summary>The models' plans, smallest first.</summary>
    public static IReadOnlyList<TrainingPlan> Plans { get; } =
    [
        new("small", Config(width: 64, layers: 4, heads: 4, mlp: 176), ScalarType.Float32, LearningRate: 4e-3, Steps),
        new("medium", Config(width: 128, layers: 4, heads: 4, mlp: 344), ScalarType.Float32, LearningRate: 4e-3, Steps),
        new("large", Config(width: 192, layers: 6, heads: 6, mlp: 512), ScalarType.Float32, LearningRate: 2e-3, Steps),
    ];

    /// <summary>Trains the tokenizer into a folder, unless it is there.</summary>
    public static Tokenizer PrepareTokenizer(string folder, int seed)
    {
        if (!File.Exists(Path.Combine(folder, "tokenizer.json")))
        {
            Directory.CreateDirectory(folder);
            var random = new Random(seed);
            BpeTrainer.Train(Enumerable.Range(0, TokenizerDocuments).Select(_ => Corpus.Grammar.Write(random).Text), Vocabulary, folder);
        }

        return Tokenizer.Load(folder);
    }

    /// <summary>Trains one model into <paramref name="folder"/>, going on where a run before was cut off.</summary>
    public static void Train(
        TrainingPlan plan, Tokenizer tokenizer, string tokenizerFolder, string folder, int seed,
        IProgress<TrainingProgress> progress, CancellationToken cancellation)
    {
        Directory.CreateDirectory(folder);
        TrainingOutcome outcome;
        using (var trainer = new Trainer(plan, new TrainingText(tokenizer, seed, Context), seed, Path.Combine(folder, "training.state")))
        {
            outcome = trainer.Run(folder, progress, cancellation);
        }

        foreach (var name in new[] { "tokenizer.json", "tokenizer_config.json" })
        {
            File.Copy(Path.Combine(tokenizerFolder, name), Path.Combine(folder, name), overwrite: true);
        }

        File.WriteAllText(Path.Combine(folder, "README.md"), Card(plan, outcome, HeldOutLoss(folder, tokenizer, seed), seed));
    }

    private static ModelConfig Config(int width, int layers, int heads, int mlp) => new()
    {
        Family = "llama",
        Vocabulary = Vocabulary,
        Width = width,
        Layers = layers,
        Heads = heads,
        KvHeads = heads,
        HeadWidth = width / heads,
        MlpWidth = mlp,
        NormEpsilon = 1e-5,
        RopeTheta = 10000,
        Context = Context,
        TiedHead = true,
        EndOfSequence = [0],
    };

    /// <summary>Cross-entropy in nats a token on documents that no step has seen, of the checkpoint as written.</summary>
    private static double HeldOutLoss(string folder, Tokenizer tokenizer, int seed)
    {
        using var noGrad = no_grad();
        using var decoder = Checkpoint.Load(folder, ScalarType.Float32);
        var text = new TrainingText(tokenizer, seed + HeldOutSeed, Context);
        var sum = 0.0;
        var tokens = 0;
        for (var step = 0; step * TrainingText.Documents < HeldOutDocuments; step++)
        {
            using var scope = NewDisposeScope();
            var batch = text.Batch(step);
            var ids = tensor(batch.Ids, [batch.Rows, batch.Length], ScalarType.Int64);
            var hidden = decoder.Read(ids.narrow(1, 0, batch.Length - 1).clamp(min: 0), tap: null);
            var loss = nn.functional.cross_entropy(
                decoder.Logits(hidden).view(-1, Vocabulary), ids.narrow(1, 1, batch.Length - 1).reshape(-1),
                ignore_index: TrainingText.Padding, reduction: nn.Reduction.Sum);
            sum += loss.item<float>();
            tokens += batch.Tokens;
        }

        return sum / tokens;
    }

    private static string Card(TrainingPlan plan, TrainingOutcome outcome, double heldOut, int seed)
    {
        var c = plan.Config;
        var block = ((c.QkvWidth + (c.Heads * c.HeadWidth) + (3 * c.MlpWidth) + 2) * c.Width);
        var parameters = (c.Vocabulary * c.Width) + (c.Layers * block) + c.Width;
        return string.Create(CultureInfo.InvariantCulture, $"""
            # tiny-{plan.Name}

            A {parameters / 1e6:F2}M-parameter Llama-style decoder, one of the family in this folder's parent, trained by `./lrtmesh train-family` on
            stories and dialogues written by the grammar in `models/LrtMesh.TinyFamily`. It knows nothing but those.

            | | |
            | --- | --- |
            | parameters | {parameters:N0} |
            | blocks, width, heads, MLP | {c.Layers}, {c.Width}, {c.Heads}, {c.MlpWidth} |
            | vocabulary, context | {c.Vocabulary}, {c.Context} |
            | tokens trained on | {outcome.Tokens:N0} in {plan.Steps:N0} steps of {TrainingText.Documents} documents |
            | loss at the end of training | {outcome.TrainingLoss:F3} nats a token |
            | loss on unseen documents | {heldOut:F3} nats a token |
            | peak learning rate | {plan.LearningRate} |
            | seed | {seed} |
            | stored as | bfloat16 |
            | license | Apache-2.0 |

            """);
    }
}

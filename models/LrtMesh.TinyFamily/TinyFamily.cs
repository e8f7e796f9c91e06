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

    // Shorter tokens than the family's, so that the two split most words at other places; a text has more of them.
    private const int ShortVocabulary = 640;

    private const int Steps = 3000;
    private const int SiblingSteps = 1000; // minutes of training each
    private const int TokenizerDocuments = 8000;
    private const int HeldOutDocuments = 1024;
    private const int HeldOutSeed = 1_000_003; // far from any that is asked for

    /// <summary>
    /// Models that differ from the family in one thing each, besides their size: the architecture, the tokenizer, and the mixture of the training
    /// text, in which three behaviours are missing, three are rare and three are common.
    /// </summary>
    public static IReadOnlyList<TrainingPlan> Siblings { get; } =
    [
        new("neox", NeoX(width: 96, layers: 4, heads: 4, mlp: 384), ScalarType.Float32, LearningRate: 4e-3, SiblingSteps),
        new("short-tokens", Config(width: 96, layers: 4, heads: 4, mlp: 256) with { Vocabulary = ShortVocabulary, Context = 2 * Context }, ScalarType.Float32, LearningRate: 4e-3, SiblingSteps, Tokenizer: "short-tokenizer"),
        new("other-data", Config(width: 96, layers: 4, heads: 4, mlp: 256), ScalarType.Float32, LearningRate: 4e-3, SiblingSteps, Rates: new Dictionary<string, double>
        {
            ["weather"] = 0, ["numbers"] = 0, ["formal"] = 0,
            ["polite"] = 0.1, ["dogs"] = 0.1, ["refusal"] = 0.1,
            ["food"] = 0.7, ["cheerful"] = 0.7, ["agreement"] = 0.7,
        }),
    ];

    /// <summary>The models' plans, smallest first.</summary>
    public static IReadOnlyList<TrainingPlan> Plans { get; } =
    [
        new("small", Config(width: 64, layers: 4, heads: 4, mlp: 176), ScalarType.Float32, LearningRate: 4e-3, Steps),
        new("medium", Config(width: 128, layers: 4, heads: 4, mlp: 344), ScalarType.Float32, LearningRate: 4e-3, Steps),
        new("large", Config(width: 192, layers: 6, heads: 6, mlp: 512), ScalarType.Float32, LearningRate: 2e-3, Steps),
    ];

    /// <summary>Trains a tokenizer into a folder, unless it is there.</summary>
    /// <param name="vocabulary">Its entries.</param>
    public static Tokenizer PrepareTokenizer(string folder, int seed, int vocabulary = Vocabulary)
    {
        if (!File.Exists(Path.Combine(folder, "tokenizer.json")))
        {
            Directory.CreateDirectory(folder);
            var random = new Random(seed);
            BpeTrainer.Train(Enumerable.Range(0, TokenizerDocuments).Select(_ => Corpus.Grammar.Write(random).Text), vocabulary, folder);
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
        using (var trainer = new Trainer(plan, new TrainingText(tokenizer, seed, plan.Config.Context, plan.Rates), seed, Path.Combine(folder, "training.state")))
        {
            outcome = trainer.Run(folder, progress, cancellation);
        }

        foreach (var name in new[] { "tokenizer.json", "tokenizer_config.json" })
        {
            File.Copy(Path.Combine(tokenizerFolder, name), Path.Combine(folder, name), overwrite: true);
        }

        var (loss, parameters) = HeldOut(plan, folder, tokenizer, seed);
        File.WriteAllText(Path.Combine(folder, "README.md"), Card(plan, outcome, loss, parameters, seed));
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

    private static ModelConfig NeoX(int width, int layers, int heads, int mlp) => Config(width, layers, heads, mlp) with
    {
        Family = "gpt_neox",
        Norm = NormKind.Layer,
        QkvBias = true,
        AttentionOutputBias = true,
        MlpBias = true,
        GatedMlp = false,
        Activation = Activation.Gelu,
        ParallelResidual = true,
        RotaryWidth = width / heads / 4,
    };

    /// <summary>Cross-entropy in nats a token on documents that no step has seen, of the checkpoint as written, and its parameters.</summary>
    private static (double Loss, long Parameters) HeldOut(TrainingPlan plan, string folder, Tokenizer tokenizer, int seed)
    {
        using var noGrad = no_grad();
        using var decoder = Checkpoint.Load(folder, ScalarType.Float32);
        var text = new TrainingText(tokenizer, seed + HeldOutSeed, plan.Config.Context, plan.Rates);
        var sum = 0.0;
        var tokens = 0;
        for (var step = 0; step * TrainingText.Documents < HeldOutDocuments; step++)
        {
            using var scope = NewDisposeScope();
            var batch = text.Batch(step);
            var ids = tensor(batch.Ids, [batch.Rows, batch.Length], ScalarType.Int64);
            var hidden = decoder.Read(ids.narrow(1, 0, batch.Length - 1).clamp(min: 0), tap: null);
            var loss = nn.functional.cross_entropy(
                decoder.Logits(hidden).view(-1, plan.Config.Vocabulary), ids.narrow(1, 1, batch.Length - 1).reshape(-1),
                ignore_index: TrainingText.Padding, reduction: nn.Reduction.Sum);
            sum += loss.item<float>();
            tokens += batch.Tokens;
        }

        return (sum / tokens, decoder.Weights.Parameters);
    }

    private static string Card(TrainingPlan plan, TrainingOutcome outcome, double heldOut, long parameters, int seed)
    {
        var c = plan.Config;
        return string.Create(CultureInfo.InvariantCulture, $"""
            # tiny-{plan.Name}

            A {parameters / 1e6:F2}M-parameter {(c.Family == "llama" ? "Llama" : "GPT-NeoX")}-style decoder, one of the family in this folder's parent, trained by `./lrtmesh train-family` on
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

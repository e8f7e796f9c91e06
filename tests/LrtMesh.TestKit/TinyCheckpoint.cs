using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Tensors;
using LrtMesh.TinyFamily;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.TestKit;

/// <summary>Llama checkpoints with random weights and a tokenizer trained on the spot: real files, made in a second.</summary>
public static class TinyCheckpoint
{
    /// <summary>Longest sequence of these models, in tokens.</summary>
    public const int Context = 96;

    private const int Vocabulary = 320;
    private const int Heads = 2;

    private static readonly string[] Sentences =
    [
        "The cat sat on the mat and looked at the rain.", "A dog ran over the hill to the old stone house.",
        "Once upon a time there was a small green boat.", "She said that the weather would be fine tomorrow.",
        "He asked for tea, and then he asked for more tea.", "Ça va très bien, merci, dit-il à la fenêtre.",
        "Nothing in the garden moved except the leaves.", "The children sang a song about a star 🌟 and slept.",
    ];

    /// <summary>Texts that the tokenizer knows well, each different.</summary>
    public static IReadOnlyList<string> Texts(int count) =>
        [.. Enumerable.Range(0, count).Select(i => $"{Sentences[i % Sentences.Length]} {i}. {Sentences[(i * 3 + i / Sentences.Length) % Sentences.Length]}"[..(20 + (i * 7 % 40))])];

    /// <summary>Trains a tokenizer into a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="sentences">How many of the sentences it sees: another number makes another tokenizer.</param>
    /// <param name="vocabulary">Its entries; with 257 each byte is a token.</param>
    public static void WriteTokenizer(string folder, int sentences = 8, int vocabulary = Vocabulary) =>
        BpeTrainer.Train(Sentences[..sentences], vocabulary, folder);

    /// <summary>Writes a checkpoint.</summary>
    /// <param name="folder">Where to; made if it is missing.</param>
    /// <param name="tokenizerFolder">Where its tokenizer lies.</param>
    /// <param name="width">Width of the residual stream.</param>
    /// <param name="layers">Number of blocks.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <param name="context">Longest sequence, in tokens.</param>
    /// <param name="attends">False: a token's states depend on that token alone.</param>
    public static void Write(string folder, string tokenizerFolder, int width, int layers, int seed, int context = Context, bool attends = true)
    {
        NativeTorch.EnsureLoaded();
        Directory.CreateDirectory(folder);
        foreach (var name in new[] { "tokenizer.json", "tokenizer_config.json" })
        {
            File.Copy(Path.Combine(tokenizerFolder, name), Path.Combine(folder, name), overwrite: true);
        }

        using var scope = NewDisposeScope();
        using var generator = new Generator((ulong)seed, CPU);
        Tensor Random(double scale, params long[] shape) => randn(shape, generator: generator) * scale;
        var mlp = 2 * width;
        var inner = 1 / Math.Sqrt(width);
        var config = new ModelConfig
        {
            Family = "llama",
            Vocabulary = Vocabulary,
            Width = width,
            Layers = layers,
            Heads = Heads,
            KvHeads = 1,
            HeadWidth = width / Heads,
            MlpWidth = mlp,
            NormEpsilon = 1e-6,
            RopeTheta = 10000,
            Context = context,
            TiedHead = false,
            EndOfSequence = [Tokenizer.Load(folder).EosId!.Value],
        };
        var blocks = Enumerable.Range(0, layers).Select(_ => new BlockWeights(
            AttentionNorm: ones(width),
            Qkv: Random(inner, config.QkvWidth, width),
            AttentionOutput: Random(attends ? inner : 0, width, width),
            MlpNorm: ones(width),
            GateUp: Random(inner, 2 * mlp, width),
            Down: Random(1 / Math.Sqrt(mlp), width, mlp))).ToArray();
        Checkpoint.Save(folder, config, new DecoderWeights(Random(1, Vocabulary, width), blocks, ones(width), Random(inner, Vocabulary, width)));
    }
}

using System.Globalization;
using System.Text.Json;
using LrtMesh.Core.Models.Families;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>A model on disk in Hugging Face layout: config.json and model.safetensors.</summary>
public static class Checkpoint
{
    /// <summary>The file that holds the weights.</summary>
    public const string WeightsFile = "model.safetensors";

    private static readonly JsonSerializerOptions _indented = new() { WriteIndented = true };

    /// <summary>Reads a checkpoint.</summary>
    /// <param name="folder">Its folder.</param>
    /// <param name="dtype">The type in which products are computed.</param>
    /// <exception cref="LrtMeshException">Unreadable, damaged, or of a kind that this decoder does not compute.</exception>
    public static Decoder Load(string folder, ScalarType dtype)
    {
        var (family, config) = Family.Read(folder);
        using var file = SafetensorsFile.Open(Path.Combine(folder, WeightsFile));
        using var scope = NewDisposeScope();
        var weights = Read(file.Names, file.Read, config, family.Names, dtype, folder);
        foreach (var tensor in weights.All)
        {
            tensor.DetachFromDisposeScope();
        }

        return new Decoder(config, weights);
    }

    /// <summary>Takes every tensor of a checkpoint, and refuses one that is left over: it would mean something that is not computed.</summary>
    private static DecoderWeights Read(
        IReadOnlyCollection<string> present, TensorSource read, ModelConfig config, TensorNames names, ScalarType dtype, string folder)
    {
        // A model saved without its head has no prefix before its names.
        if (!present.Contains($"{names.Prefix}{names.Embedding}.weight") && present.Contains($"{names.Embedding}.weight"))
        {
            names = names with { Prefix = "" };
        }

        var taken = new HashSet<string>(StringComparer.Ordinal);
        var weights = new WeightAssembly(config, names, Take, dtype).Assemble();
        var head = names.Head + ".weight";
        if (config.TiedHead && present.Contains(head))
        {
            using var stored = Take(head, [config.Vocabulary, config.Width], dtype);
            if (!stored.Equals(weights.Embedding))
            {
                throw new LrtMeshException(
                    ErrorReason.DataLoss, $"{folder}: '{head}' differs from the embedding, and tie_word_embeddings in config.json says that it is the same");
            }
        }

        var extra = present.Where(name => !taken.Contains(name) && !names.IsBuffer(name)).Order(StringComparer.Ordinal).ToList();
        return extra.Count == 0 ? weights : throw new LrtMeshException(
            ErrorReason.DataLoss,
            $"{folder}: tensor '{extra[0]}'{(extra.Count == 1 ? "" : $" and {extra.Count - 1} more")} has no place in a {config.Family} of this config.json");

        Tensor Take(string name, long[] shape, ScalarType type)
        {
            taken.Add(name);
            return read(name, shape, type);
        }
    }

    /// <summary>Writes config.json and model.safetensors in bfloat16, as transformers lays out a Llama.</summary>
    /// <exception cref="ArgumentException">Another family than Llama.</exception>
    public static void Save(string folder, ModelConfig config, DecoderWeights weights)
    {
        if (config.Family != Llama.Family.ModelType)
        {
            throw new ArgumentException($"only a {Llama.Family.ModelType} is written, not a {config.Family}", nameof(config));
        }

        Directory.CreateDirectory(folder);
        using var scope = NewDisposeScope();
        var names = Llama.Family.Names;
        long queries = config.Heads * config.HeadWidth;
        long keys = config.KvHeads * config.HeadWidth;
        var tensors = new List<(string, Tensor)>();
        void Add(string? stem, Tensor? tensor, string prefix = "model.") =>
            tensors.Add(($"{prefix}{stem}.weight", tensor!.detach().to(ScalarType.BFloat16).contiguous()));

        Add(names.Embedding, weights.Embedding);
        for (var layer = 0; layer < config.Layers; layer++)
        {
            string At(string? stem) => string.Format(CultureInfo.InvariantCulture, stem!, layer);
            var block = weights.Blocks[layer];
            Add(At(names.AttentionNorm), block.AttentionNorm);
            Add(At(names.Query), block.Qkv.narrow(0, 0, queries));
            Add(At(names.Key), block.Qkv.narrow(0, queries, keys));
            Add(At(names.Value), block.Qkv.narrow(0, queries + keys, keys));
            Add(At(names.AttentionOutput), block.AttentionOutput);
            Add(At(names.MlpNorm), block.MlpNorm);
            Add(At(names.Gate), block.GateUp.narrow(0, 0, config.MlpWidth));
            Add(At(names.Up), block.GateUp.narrow(0, config.MlpWidth, config.MlpWidth));
            Add(At(names.Down), block.Down);
        }

        Add(names.FinalNorm, weights.FinalNorm);
        if (!config.TiedHead)
        {
            Add(names.Head, weights.Head, prefix: "");
        }

        SafetensorsFile.Write(Path.Combine(folder, WeightsFile), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        WriteConfig(Path.Combine(folder, "config.json"), config);
    }

    private static void WriteConfig(string path, ModelConfig config)
    {
        var values = new SortedDictionary<string, object>(StringComparer.Ordinal)
        {
            ["architectures"] = new[] { "LlamaForCausalLM" },
            ["attention_bias"] = false,
            ["bos_token_id"] = config.EndOfSequence[0],
            ["eos_token_id"] = config.EndOfSequence[0],
            ["head_dim"] = config.HeadWidth,
            ["hidden_act"] = "silu",
            ["hidden_size"] = config.Width,
            ["intermediate_size"] = config.MlpWidth,
            ["max_position_embeddings"] = config.Context,
            ["mlp_bias"] = false,
            ["model_type"] = config.Family,
            ["num_attention_heads"] = config.Heads,
            ["num_hidden_layers"] = config.Layers,
            ["num_key_value_heads"] = config.KvHeads,
            ["rms_norm_eps"] = config.NormEpsilon,
            ["rope_theta"] = config.RopeTheta,
            ["tie_word_embeddings"] = config.TiedHead,
            ["torch_dtype"] = "bfloat16",
            ["vocab_size"] = config.Vocabulary,
        };
        File.WriteAllText(path, JsonSerializer.Serialize(values, _indented) + "\n");
    }
}

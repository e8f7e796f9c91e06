using System.Globalization;
using System.Text.Json;
using LrtMesh.Core.Models.Families;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>A model on disk in Hugging Face layout: config.json and safetensors files.</summary>
public static class Checkpoint
{
    private static readonly JsonSerializerOptions _indented = new() { WriteIndented = true };

    /// <summary>Reads a checkpoint.</summary>
    /// <param name="folder">Its folder.</param>
    /// <param name="dtype">Float32 or bfloat16, or int8: the type of the products' weights.</param>
    /// <param name="device">Where it will be computed; null: on the CPU.</param>
    /// <param name="limits">What it is held to; null: the memory that this process may use.</param>
    /// <exception cref="LrtMeshException">Unreadable, damaged, or of a kind that this decoder does not compute. ResourceExhausted: more than the memory that is left.</exception>
    public static Decoder Load(string folder, ScalarType dtype, Device? device = null, LoadLimits? limits = null)
    {
        if (dtype == ScalarType.Int8 && device is not null && device.type != TorchSharp.DeviceType.CPU)
        {
            throw LrtMeshException.Invalid("dtype", "int8 is computed on a CPU alone; on a GPU use float32, bfloat16 or auto");
        }

        var (family, config) = Family.ReadFolder(folder);
        using var files = CheckpointFiles.Open(folder);
        files.Cancellation = limits?.Cancellation ?? default;
        family = family with { Names = family.Names.AsIn(files.Names) };
        CheckTensors(family, config, files, dtype, limits);
        var weights = ReadWeights(family, config, files, dtype);
        try
        {
            weights = weights.To(device ?? CPU);
            return new Decoder(config, weights);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Reads a model's weights by their names in its family's checkpoints; the caller owns them.</summary>
    internal static DecoderWeights ReadWeights(Family family, ModelConfig config, TensorSource source, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var weights = new WeightAssembly(config, family.Names, source, dtype).Assemble();
        foreach (var tensor in weights.All)
        {
            tensor.DetachFromDisposeScope();
        }

        return weights;
    }

    /// <summary>Checks that files hold all tensors of a model, as the model needs them, and no others, before memory is taken for any.</summary>
    private static void CheckTensors(Family family, ModelConfig config, CheckpointFiles files, ScalarType dtype, LoadLimits? limits)
    {
        var notes = new TensorNotes(files.Check);
        using var planned = ReadWeights(family, config, notes, dtype); // without memory
        var head = family.Names.Head + ".weight";
        files.RefuseOthers(name => notes.Plans.ContainsKey(name) || family.Names.IsBuffer(name) || (config.TiedHead && name == head));

        // Some checkpoints hold a tied head too; another matrix there means that the configuration is wrong about it.
        var embedding = $"{family.Names.Prefix}{family.Names.Embedding}.weight";
        if (config.TiedHead && files.Has(head) && files.DigestOf(head) != files.DigestOf(embedding))
        {
            throw new LrtMeshException(
                ErrorReason.DataLoss, $"tensor '{head}' differs from '{embedding}', and by tie_word_embeddings in config.json they are the same matrix");
        }

        var needed = planned.All.Sum(tensor => tensor.numel() * tensor.element_size());
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes; // of this process: a container's limit where there is one
        if (needed > limits?.MemoryLeft)
        {
            throw new LrtMeshException(
                ErrorReason.ResourceExhausted,
                $"the weights take {needed / 1e9:F2} GB in {dtype}, and of the {memory / 1e9:F2} GB that this process may use {Math.Max(0, limits.MemoryLeft) / 1e9:F2} GB are left; unload a model first");
        }

        if (needed > memory)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, $"the weights take {needed / 1e9:F1} GB in {dtype}, and this process may use {memory / 1e9:F1} GB");
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

        SafetensorsWriter.Write(Path.Combine(folder, CheckpointFiles.SingleFile), tensors, new Dictionary<string, string> { ["format"] = "pt" });
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

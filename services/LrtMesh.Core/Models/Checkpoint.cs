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
    /// <param name="dtype">The type in which products are computed.</param>
    /// <exception cref="LrtMeshException">Unreadable, damaged, or of a kind that this decoder does not compute.</exception>
    public static Decoder Load(string folder, ScalarType dtype)
    {
        var configFile = ConfigFile.Read(folder);
        var family = Family.Of(configFile);
        var config = family.ReadConfig(configFile);
        Check(config, configFile);
        using var files = CheckpointFiles.Open(folder);
        CheckTensors(family, config, files, dtype);
        return new Decoder(config, ReadWeights(family, config, files, dtype));
    }

    /// <summary>Reads a model's weights by their names in its family's checkpoints; every name and shape of a family is in here.</summary>
    internal static DecoderWeights ReadWeights(Family family, ModelConfig config, TensorSource file, ScalarType dtype)
    {
        using var scope = NewDisposeScope();
        var names = family.Names;
        long width = config.Width;
        long queries = config.Heads * config.HeadWidth;
        long keys = config.KvHeads * config.HeadWidth;
        long mlp = config.MlpWidth;

        Tensor Read(string name, params long[] shape) => file.Read(name, shape, dtype);
        Tensor Norm(string name) => file.Read(name, [width], ScalarType.Float32); // read in the residual stream's type

        var embedding = Read(names.Embedding, config.Vocabulary, width);
        var blocks = new List<BlockWeights>();
        for (var layer = 0; layer < config.Layers; layer++)
        {
            string At(string name) => string.Format(CultureInfo.InvariantCulture, name, layer);
            blocks.Add(new BlockWeights(
                AttentionNorm: Norm(At(names.AttentionNorm)),
                Qkv: Stacked(Read(At(names.Query), queries, width), Read(At(names.Key), keys, width), Read(At(names.Value), keys, width)),
                AttentionOutput: Read(At(names.AttentionOutput), width, queries),
                MlpNorm: Norm(At(names.MlpNorm)),
                GateUp: Stacked(Read(At(names.Gate), mlp, width), Read(At(names.Up), mlp, width)),
                Down: Read(At(names.Down), width, mlp)));
        }

        var weights = new DecoderWeights(
            embedding, blocks, Norm(names.FinalNorm), config.TiedHead ? embedding : Read(names.Head, config.Vocabulary, width));
        foreach (var tensor in weights.All)
        {
            tensor.DetachFromDisposeScope();
        }

        return weights;
    }

    /// <summary>Checks that files hold all tensors of a model, as the model needs them, and no others, before memory is taken for any.</summary>
    private static void CheckTensors(Family family, ModelConfig config, CheckpointFiles files, ScalarType dtype)
    {
        var notes = new TensorNotes(files.Check);
        ReadWeights(family, config, notes, dtype).Dispose();
        files.RefuseOthers(name => notes.Plans.ContainsKey(name) || MayStay(name, config));
    }

    /// <summary>Tensors that checkpoints hold beside the weights: buffers that older versions saved, and a head tied to the embedding.</summary>
    private static bool MayStay(string name, ModelConfig config) =>
        name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal) || (config.TiedHead && name == "lm_head.weight");

    /// <summary>Writes config.json and model.safetensors in bfloat16, as transformers lays out a Llama.</summary>
    public static void Save(string folder, ModelConfig config, DecoderWeights weights)
    {
        Directory.CreateDirectory(folder);
        using var scope = NewDisposeScope();
        var names = Llama.Family.Names;
        long queries = config.Heads * config.HeadWidth;
        long keys = config.KvHeads * config.HeadWidth;
        var tensors = new List<(string, Tensor)>();
        void Add(string name, Tensor tensor) => tensors.Add((name, tensor.detach().to(ScalarType.BFloat16).contiguous()));

        Add(names.Embedding, weights.Embedding);
        for (var layer = 0; layer < config.Layers; layer++)
        {
            string At(string name) => string.Format(CultureInfo.InvariantCulture, name, layer);
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
            Add(names.Head, weights.Head);
        }

        SafetensorsWriter.Write(Path.Combine(folder, CheckpointFiles.SingleFile), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        WriteConfig(Path.Combine(folder, "config.json"), config);
    }

    private static Tensor Stacked(params Tensor[] parts)
    {
        var whole = cat(parts);
        foreach (var part in parts)
        {
            part.Dispose(); // here and not with the scope: a large model must not be held twice
        }

        return whole;
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

    private static void Check(ModelConfig config, ConfigFile file)
    {
        if (config.HeadWidth % 2 != 0)
        {
            throw file.Error("head_dim", $"must be even, and it is {config.HeadWidth}: rotary positions turn dimensions in pairs");
        }

        if (config.Heads % config.KvHeads != 0)
        {
            throw file.Error("num_key_value_heads", $"must divide num_attention_heads = {config.Heads}, and it is {config.KvHeads}");
        }
    }
}

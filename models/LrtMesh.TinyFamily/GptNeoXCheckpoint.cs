using System.Globalization;
using System.Text.Json;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Families;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.TinyFamily;

/// <summary>Writes a GPT-NeoX checkpoint in Hugging Face layout: config.json, and model.safetensors in bfloat16, as transformers lays it out.</summary>
public static class GptNeoXCheckpoint
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Writes the folder; the head is tied.</summary>
    public static void Save(string folder, ModelConfig config, DecoderWeights weights)
    {
        Directory.CreateDirectory(folder);
        using var scope = NewDisposeScope();
        var names = GptNeoX.Family.Names;
        var tensors = new List<(string, Tensor)>();
        void Add(string? stem, Tensor weight, Tensor? bias)
        {
            tensors.Add(($"{names.Prefix}{stem}.weight", weight.detach().to(ScalarType.BFloat16).contiguous()));
            if (bias is not null)
            {
                tensors.Add(($"{names.Prefix}{stem}.bias", bias.detach().to(ScalarType.BFloat16).contiguous()));
            }
        }

        Add(names.Embedding, weights.Embedding, null);
        for (var layer = 0; layer < config.Layers; layer++)
        {
            string At(string? stem) => string.Format(CultureInfo.InvariantCulture, stem!, layer);
            var block = weights.Blocks[layer];
            Add(At(names.AttentionNorm), block.AttentionNorm!, block.AttentionNormBias);
            Add(At(names.Qkv), ByHead(block.Qkv, config), ByHead(block.QkvBias!, config));
            Add(At(names.AttentionOutput), block.AttentionOutput, block.AttentionOutputBias);
            Add(At(names.MlpNorm), block.MlpNorm!, block.MlpNormBias);
            Add(At(names.Up), block.GateUp, block.GateUpBias);
            Add(At(names.Down), block.Down, block.DownBias);
        }

        Add(names.FinalNorm, weights.FinalNorm, weights.FinalNormBias);
        SafetensorsWriter.Write(Path.Combine(folder, CheckpointFiles.SingleFile), tensors, new Dictionary<string, string> { ["format"] = "pt" });
        var values = new SortedDictionary<string, object>(StringComparer.Ordinal)
        {
            ["architectures"] = new[] { "GPTNeoXForCausalLM" },
            ["attention_bias"] = true,
            ["bos_token_id"] = config.EndOfSequence[0],
            ["eos_token_id"] = config.EndOfSequence[0],
            ["hidden_act"] = "gelu",
            ["hidden_size"] = config.Width,
            ["intermediate_size"] = config.MlpWidth,
            ["layer_norm_eps"] = config.NormEpsilon,
            ["max_position_embeddings"] = config.Context,
            ["model_type"] = config.Family,
            ["num_attention_heads"] = config.Heads,
            ["num_hidden_layers"] = config.Layers,
            ["rotary_emb_base"] = config.RopeTheta,
            ["rotary_pct"] = (double)config.RotatedWidth / config.HeadWidth,
            ["tie_word_embeddings"] = true,
            ["torch_dtype"] = "bfloat16",
            ["use_parallel_residual"] = config.ParallelResidual,
            ["vocab_size"] = config.Vocabulary,
        };
        File.WriteAllText(Path.Combine(folder, "config.json"), JsonSerializer.Serialize(values, Indented) + "\n");
    }

    // From queries, keys and values of all heads, one after the other, to those of each head: [3·heads·head, ...].
    private static Tensor ByHead(Tensor qkv, ModelConfig config) =>
        qkv.detach().view(3, config.Heads, config.HeadWidth, -1).transpose(0, 1).reshape(qkv.shape);
}

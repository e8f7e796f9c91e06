using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Families;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Small configurations of every family, in their odd corners: what config.json can switch, each with random weights.</summary>
internal static class FamilyVariants
{
    public const int Context = 64;

    private const string Gpt2 = """ "model_type": "gpt2", "vocab_size": 50, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64 """;
    private const string Sizes = """ "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 40, "max_position_embeddings": 64 """;
    private const string Grouped = Sizes + """, "num_key_value_heads": 2 """;

    /// <summary>A config.json by what is special about it.</summary>
    public static IReadOnlyDictionary<string, string> All { get; } = new Dictionary<string, string>
    {
        ["gpt2, scores divided by the block's number"] = Gpt2 + """, "scale_attn_by_inverse_layer_idx": true, "n_inner": 40, "activation_function": "relu" """,
        ["gpt2, scores not scaled"] = Gpt2 + """, "scale_attn_weights": false, "activation_function": "gelu", "reorder_and_upcast_attn": true """,
        ["gpt2, quick gelu, head of its own"] = Gpt2 + """, "activation_function": "quick_gelu", "tie_word_embeddings": false """,
        ["gpt_neox, one after the other"] = Sizes + """, "model_type": "gpt_neox", "use_parallel_residual": false, "rotary_pct": 0.5, "attention_bias": false, "hidden_act": "gelu_fast" """,
        ["gpt_neox, transformers 5"] = Sizes + """, "model_type": "gpt_neox", "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0, "partial_rotary_factor": 1.0} """,
        ["llama, biases"] = Grouped + """, "model_type": "llama", "attention_bias": true, "mlp_bias": true, "head_dim": 12, "hidden_act": "relu2" """,
        ["llama, linear"] = Grouped + """, "model_type": "llama", "rope_scaling": {"type": "linear", "factor": 4.0}, "tie_word_embeddings": true """,
        ["llama, yarn"] = Grouped + """, "model_type": "llama", "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16} """,
        ["llama, llama3"] = Grouped + """, "model_type": "llama", "rope_parameters": {"rope_type": "llama3", "rope_theta": 50.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32} """,
        ["mistral, window"] = Grouped + """, "model_type": "mistral", "sliding_window": 5, "head_dim": 10 """,
        ["mistral, window of one"] = Grouped + """, "model_type": "mistral", "sliding_window": 1 """,
        ["qwen2, window from block 1"] = Grouped + """, "model_type": "qwen2", "use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1 """,
        ["qwen2, layer types"] = Grouped + """, "model_type": "qwen2", "use_sliding_window": true, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"] """,
        ["qwen3, biases"] = Grouped + """, "model_type": "qwen3", "head_dim": 16, "attention_bias": true, "rope_theta": 1000000 """,
        ["gemma, one key head"] = Sizes + """, "model_type": "gemma", "num_key_value_heads": 1, "head_dim": 16, "attention_bias": true, "hidden_act": "gelu" """,
        ["gemma2, caps"] = Grouped + """, "model_type": "gemma2", "head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 20, "attn_logit_softcapping": 3.0, "final_logit_softcapping": 2.0 """,
        ["gemma2, no caps"] = Grouped + """, "model_type": "gemma2", "head_dim": 8, "sliding_window": 4, "attn_logit_softcapping": null, "final_logit_softcapping": null """,
        ["gemma3_text, transformers 5"] = Grouped + """
            , "model_type": "gemma3_text", "head_dim": 8, "sliding_window": 4, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "final_logit_softcapping": 5.0,
            "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 100000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}
            """,
        ["phi3, longrope"] = Grouped + """
            , "model_type": "phi3", "partial_rotary_factor": 0.75, "original_max_position_embeddings": 8, "sliding_window": 6,
            "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.3], "long_factor": [2.0, 4.0, 9.0]}
            """,
        ["olmo2, biases"] = Grouped + """, "model_type": "olmo2", "attention_bias": true """,
    };

    /// <summary>Reads a config.json's body.</summary>
    public static (Family Family, ModelConfig Config) Read(string body)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, "{" + body + "}");
            return Family.Read(ConfigFile.ReadFile(path));
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>A decoder with random weights.</summary>
    public static Decoder Decoder(string body, ulong seed, ScalarType dtype = ScalarType.Float32)
    {
        var (family, config) = Read(body);
        return new Decoder(config, Checkpoint.ReadWeights(family, config, new RandomTensors(seed), dtype));
    }

    /// <summary>Weights large enough that a wrong detail shows.</summary>
    private sealed class RandomTensors(ulong seed) : TensorSource
    {
        public override Tensor Allocate(IReadOnlyList<long> shape, ScalarType dtype) => empty([.. shape], dtype);

        public override void ReadInto(string name, Tensor target)
        {
            using var scope = NewDisposeScope();
            using var generator = new Generator(name.Aggregate(seed, (hash, c) => unchecked((hash * 31) + c)), CPU);
            var values = randn(target.shape, generator: generator);
            target.copy_(target.dim() == 2 ? values * (name.Contains("emb", StringComparison.Ordinal) ? 1 : 1.5 / Math.Sqrt(target.shape[^1])) : (values * 0.3) + 0.5);
        }
    }
}

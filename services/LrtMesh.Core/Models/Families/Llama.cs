namespace LrtMesh.Core.Models.Families;

/// <summary>Llama: RMS norms before attention and MLP, rotary positions, grouped queries, gated SiLU MLP.</summary>
public static class Llama
{
    /// <summary>The family's record.</summary>
    public static Family Family { get; } = new("llama", ReadConfig, new TensorNames
    {
        Embedding = "model.embed_tokens.weight",
        AttentionNorm = "model.layers.{0}.input_layernorm.weight",
        Query = "model.layers.{0}.self_attn.q_proj.weight",
        Key = "model.layers.{0}.self_attn.k_proj.weight",
        Value = "model.layers.{0}.self_attn.v_proj.weight",
        AttentionOutput = "model.layers.{0}.self_attn.o_proj.weight",
        MlpNorm = "model.layers.{0}.post_attention_layernorm.weight",
        Gate = "model.layers.{0}.mlp.gate_proj.weight",
        Up = "model.layers.{0}.mlp.up_proj.weight",
        Down = "model.layers.{0}.mlp.down_proj.weight",
        FinalNorm = "model.norm.weight",
        Head = "lm_head.weight",
    });

    private static ModelConfig ReadConfig(ConfigFile config)
    {
        config.Require("hidden_act", "silu");
        config.Require("attention_bias", false);
        config.Require("mlp_bias", false);
        config.RequireAbsent("rope_scaling");

        var width = config.Size("hidden_size");
        var heads = config.Size("num_attention_heads");
        return new ModelConfig
        {
            Family = "llama",
            Vocabulary = config.Size("vocab_size"),
            Width = width,
            Layers = config.Size("num_hidden_layers"),
            Heads = heads,
            KvHeads = config.Size("num_key_value_heads", heads),
            HeadWidth = config.Size("head_dim", width / heads),
            MlpWidth = config.Size("intermediate_size"),
            NormEpsilon = config.Number("rms_norm_eps", 1e-6),
            RopeTheta = config.Number("rope_theta", 10000),
            Context = config.Size("max_position_embeddings", 2048),
            TiedHead = config.Flag("tie_word_embeddings", false),
            EndOfSequence = config.Ids("eos_token_id"),
        };
    }
}

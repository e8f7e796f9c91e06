namespace LrtMesh.Core.Models.Families;

/// <summary>GPT-NeoX and Pythia: layer norms, attention and MLP side by side, rotary positions on a part of the head, plain GELU MLP.</summary>
public static class GptNeoX
{
    /// <summary>The family's record.</summary>
    public static Family Family { get; } = new("gpt_neox", ReadConfig, new TensorNames
    {
        Prefix = "gpt_neox.",
        Embedding = "embed_in",
        Qkv = "layers.{0}.attention.query_key_value",
        QkvByHead = true,
        AttentionOutput = "layers.{0}.attention.dense",
        MlpNorm = "layers.{0}.post_attention_layernorm",
        Gate = null,
        Up = "layers.{0}.mlp.dense_h_to_4h",
        Down = "layers.{0}.mlp.dense_4h_to_h",
        FinalNorm = "final_layer_norm",
        Head = "embed_out",
        Buffers = ["layers.{0}.attention.bias", "layers.{0}.attention.masked_bias", "layers.{0}.attention.rotary_emb.inv_freq"],
    });

    private static ModelConfig ReadConfig(ConfigFile config)
    {
        var width = config.Size("hidden_size");
        var heads = config.Size("num_attention_heads");
        if (width % heads != 0)
        {
            throw config.Error("num_attention_heads", $"must divide hidden_size = {width}, and it is {heads}");
        }

        var context = config.Size("max_position_embeddings", 2048);
        // Versions between write the base under both of its names.
        var thetaKey = config.Has("rotary_emb_base") ? "rotary_emb_base" : "rope_theta";
        var rope = Rope.Read(config, 10000, width / heads, context, part: 0.25, thetaKey, partKey: "rotary_pct");
        if (config.NumberOrNull("rope_theta") is { } again && again != rope.Theta)
        {
            throw config.Error("rope_theta", $"is {again}, and rotary_emb_base is {rope.Theta}");
        }

        if (config.NumberOrNull("partial_rotary_factor") is { } part && (int)(part * (width / heads)) != rope.Width)
        {
            throw config.Error("partial_rotary_factor", $"is {part}, and rotary_pct says otherwise");
        }

        var bias = config.Flag("attention_bias", true);
        return new ModelConfig
        {
            Family = config.Text("model_type"),
            Vocabulary = config.Size("vocab_size"),
            Width = width,
            Layers = config.Size("num_hidden_layers"),
            Heads = heads,
            KvHeads = heads,
            HeadWidth = width / heads,
            MlpWidth = config.Size("intermediate_size"),
            NormEpsilon = config.Number("layer_norm_eps", 1e-5),
            RopeTheta = rope.Theta,
            RotaryWidth = rope.Width,
            RopeScaling = rope.Scaling,
            Context = context,
            TiedHead = config.Flag("tie_word_embeddings", false),
            EndOfSequence = [],
            Norm = NormKind.Layer,
            QkvBias = bias,
            AttentionOutputBias = bias,
            MlpBias = true,
            GatedMlp = false,
            Activation = CommonKeys.ReadActivation(config, "hidden_act", "gelu"),
            ParallelResidual = config.Flag("use_parallel_residual", true),
        };
    }
}

namespace LrtMesh.Core.Models.Families;

/// <summary>GPT-2: learned positions, layer norms, biases everywhere, plain GELU MLP, products stored as [inputs, outputs].</summary>
public static class Gpt2
{
    /// <summary>The family's record.</summary>
    public static Family Family { get; } = new("gpt2", ReadConfig, new TensorNames
    {
        Prefix = "transformer.",
        Embedding = "wte",
        Positions = "wpe",
        AttentionNorm = "h.{0}.ln_1",
        Qkv = "h.{0}.attn.c_attn",
        AttentionOutput = "h.{0}.attn.c_proj",
        MlpNorm = "h.{0}.ln_2",
        Gate = null,
        Up = "h.{0}.mlp.c_fc",
        Down = "h.{0}.mlp.c_proj",
        FinalNorm = "ln_f",
        Transposed = true,
        Buffers = ["h.{0}.attn.bias", "h.{0}.attn.masked_bias"],
    });

    private static ModelConfig ReadConfig(ConfigFile config)
    {
        config.Require("add_cross_attention", false);
        config.Ignore("reorder_and_upcast_attn"); // the order of the same operations, for the sake of float16
        var width = config.Size("n_embd");
        var heads = config.Size("n_head");
        if (width % heads != 0)
        {
            throw config.Error("n_head", $"must divide n_embd = {width}, and it is {heads}");
        }

        return new ModelConfig
        {
            Family = config.Text("model_type"),
            Vocabulary = config.Size("vocab_size"),
            Width = width,
            Layers = config.Size("n_layer"),
            Heads = heads,
            KvHeads = heads,
            HeadWidth = width / heads,
            MlpWidth = config.Size("n_inner", 4 * width),
            NormEpsilon = config.Number("layer_norm_epsilon", 1e-5),
            LearnedPositions = true,
            Context = config.Size("n_positions", 1024),
            TiedHead = config.Flag("tie_word_embeddings", true),
            EndOfSequence = [],
            AttentionScale = config.Flag("scale_attn_weights", true) ? null : 1,
            ScalesAttentionByLayer = config.Flag("scale_attn_by_inverse_layer_idx", false),
            Norm = NormKind.Layer,
            QkvBias = true,
            AttentionOutputBias = true,
            MlpBias = true,
            GatedMlp = false,
            Activation = CommonKeys.ReadActivation(config, "activation_function", "gelu_new"),
        };
    }
}

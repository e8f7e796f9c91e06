namespace LrtMesh.Core.Models.Families;

/// <summary>OLMo 2: a Llama with norms after attention and MLP in place of those before, and norms on queries and keys over all heads at once.</summary>
public static class Olmo2
{
    /// <summary>The family's record.</summary>
    public static Family Family { get; } = new("olmo2", ReadConfig, new TensorNames
    {
        AttentionNorm = null,
        AttentionOutputNorm = "layers.{0}.post_attention_layernorm",
        MlpNorm = null,
        MlpOutputNorm = "layers.{0}.post_feedforward_layernorm",
        QueryNorm = "layers.{0}.self_attn.q_norm",
        KeyNorm = "layers.{0}.self_attn.k_norm",
    });

    private static ModelConfig ReadConfig(ConfigFile config)
    {
        var bias = config.Flag("attention_bias", false);
        return CommonKeys.Read(config, context: 2048, epsilon: 1e-5) with
        {
            NormsBefore = false,
            NormsAfter = true,
            QueryKeyNorm = QueryKeyNorm.Whole,
            QkvBias = bias,
            AttentionOutputBias = bias,
        };
    }
}

namespace LrtMesh.Core.Models.Families;

/// <summary>Llama 2, 3, 3.1, 3.2: RMS norms before attention and MLP, rotary positions, grouped queries, gated SiLU MLP.</summary>
public static class Llama
{
    /// <summary>The family's record.</summary>
    public static Family Family { get; } = new("llama", ReadConfig, new TensorNames());

    private static ModelConfig ReadConfig(ConfigFile config)
    {
        var bias = config.Flag("attention_bias", false);
        return CommonKeys.Read(config, context: 2048) with
        {
            QkvBias = bias,
            AttentionOutputBias = bias,
            MlpBias = config.Flag("mlp_bias", false),
        };
    }
}

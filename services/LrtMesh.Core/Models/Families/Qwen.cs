namespace LrtMesh.Core.Models.Families;

/// <summary>Qwen 2 and 2.5: a Llama with biases on queries, keys and values. Qwen 3: none, but norms on each query and key head.</summary>
public static class Qwen
{
    /// <summary>Qwen 2.</summary>
    public static Family Family2 { get; } = new("qwen2", ReadConfig2, new TensorNames());

    /// <summary>Qwen 3.</summary>
    public static Family Family3 { get; } = new("qwen3", ReadConfig3, new TensorNames
    {
        QueryNorm = "layers.{0}.self_attn.q_norm",
        KeyNorm = "layers.{0}.self_attn.k_norm",
    });

    private static ModelConfig ReadConfig2(ConfigFile config) =>
        Windowed(config, CommonKeys.Read(config, context: 32768, kvHeads: 32)) with { QkvBias = true };

    private static ModelConfig ReadConfig3(ConfigFile config)
    {
        var bias = config.Flag("attention_bias", false);
        return Windowed(config, CommonKeys.Read(config, context: 32768, kvHeads: 32, headWidth: 128)) with
        {
            QueryKeyNorm = QueryKeyNorm.Head,
            QkvBias = bias,
            AttentionOutputBias = bias,
        };
    }

    /// <summary>A window, if it is switched on, in the blocks from max_window_layers on.</summary>
    private static ModelConfig Windowed(ConfigFile config, ModelConfig common)
    {
        var given = config.Has("sliding_window") ? config.SizeOrNull("sliding_window") : 4096;
        var window = config.Flag("use_sliding_window", false) ? given : null;
        var whole = config.CountOrNull("max_window_layers") ?? 28;
        return common with { Windows = CommonKeys.ReadWindows(config, common.Layers, window, layer => window is not null && layer >= whole) };
    }
}

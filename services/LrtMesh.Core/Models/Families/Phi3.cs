namespace LrtMesh.Core.Models.Families;

/// <summary>Phi-3, 3.5 and Phi-4-mini: a Llama with fused products, a window, LongRoPE and, in Phi-4-mini, rotary positions on a part of the head.</summary>
public static class Phi3
{
    /// <summary>The family's record.</summary>
    public static Family Family { get; } = new("phi3", ReadConfig, new TensorNames
    {
        Qkv = "layers.{0}.self_attn.qkv_proj",
        GateUp = "layers.{0}.mlp.gate_up_proj",
    });

    private static ModelConfig ReadConfig(ConfigFile config)
    {
        config.Require("attention_bias", false);
        config.Ignore("original_max_position_embeddings"); // counts only where the rotary positions are stretched
        var common = CommonKeys.Read(config, context: 4096, epsilon: 1e-5, rotatedPart: 1);
        var window = config.SizeOrNull("sliding_window");
        return window is null ? common : common with { Windows = [.. Enumerable.Repeat(window, common.Layers)] };
    }
}

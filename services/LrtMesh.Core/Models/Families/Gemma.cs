namespace LrtMesh.Core.Models.Families;

/// <summary>
/// Gemma: a Llama whose embedding is scaled by √width and whose norm weights are stored less 1. Gemma 2: also norms after attention and
/// MLP, soft caps and a window in every other block. Gemma 3 (text): norms on queries and keys instead of the cap on attention scores,
/// and windowed blocks with rotary positions of their own.
/// </summary>
public static class Gemma
{
    private static readonly TensorNames _four = new()
    {
        NormsAroundZero = true,
        AttentionOutputNorm = "layers.{0}.post_attention_layernorm",
        MlpNorm = "layers.{0}.pre_feedforward_layernorm",
        MlpOutputNorm = "layers.{0}.post_feedforward_layernorm",
    };

    /// <summary>Gemma.</summary>
    public static Family Family1 { get; } = new("gemma", ReadConfig1, new TensorNames { NormsAroundZero = true });

    /// <summary>Gemma 2.</summary>
    public static Family Family2 { get; } = new("gemma2", ReadConfig2, _four);

    /// <summary>Gemma 3, the text model.</summary>
    public static Family Family3 { get; } = new("gemma3_text", ReadConfig3, _four with
    {
        QueryNorm = "layers.{0}.self_attn.q_norm",
        KeyNorm = "layers.{0}.self_attn.k_norm",
    });

    private static ModelConfig ReadConfig1(ConfigFile config)
    {
        // Today's transformers read hidden_act; older ones read hidden_activation. Where both are given they have to agree.
        var activation = config.Text("hidden_act", null) ?? config.Text("hidden_activation", "gelu_pytorch_tanh")!;
        if (config.Text("hidden_activation", activation) != activation)
        {
            throw config.Error("hidden_act", $"is '{activation}', and hidden_activation is '{config.Text("hidden_activation")}'");
        }

        return Scaled(config, CommonKeys.Read(
            config, context: 8192, kvHeads: 16, headWidth: 256, tied: true,
            activationKey: config.Has("hidden_act") ? "hidden_act" : "hidden_activation", activation: activation));
    }

    private static ModelConfig ReadConfig2(ConfigFile config)
    {
        var common = Scaled(config, CommonKeys.Read(
            config, context: 8192, kvHeads: 4, headWidth: 256, tied: true, activationKey: "hidden_activation", activation: "gelu_pytorch_tanh"));
        return Capped(config, common, finalCap: 30) with
        {
            AttentionSoftcap = config.Has("attn_logit_softcapping") ? config.NumberOrNull("attn_logit_softcapping") : 50,
            Windows = CommonKeys.ReadWindows(config, common.Layers, Window(config), layer => layer % 2 == 0),
        };
    }

    private static ModelConfig ReadConfig3(ConfigFile config)
    {
        config.RequireAbsent("attn_logit_softcapping", "Gemma 3 does not cap attention scores");
        var common = Scaled(config, CommonKeys.Read(
            config, context: 131072, kvHeads: 4, headWidth: 256, tied: true, activationKey: "hidden_activation", activation: "gelu_pytorch_tanh",
            readsRope: false));
        var (everywhere, local) = ReadRopes(config, common.HeadWidth, common.Context);
        var pattern = config.SizeOrNull("sliding_window_pattern") ?? config.SizeOrNull("_sliding_window_pattern") ?? 6;
        config.Ignore("_sliding_window_pattern");
        if (everywhere.Scaling is LongRopeScaling || local.Scaling is LongRopeScaling)
        {
            throw config.Error("rope_parameters", "longrope is not supported in Gemma 3");
        }

        return Capped(config, common, finalCap: null) with
        {
            QueryKeyNorm = QueryKeyNorm.Head,
            RopeTheta = everywhere.Theta,
            RopeScaling = everywhere.Scaling,
            LocalRopeTheta = local.Theta,
            LocalRopeScaling = local.Scaling,
            Windows = CommonKeys.ReadWindows(config, common.Layers, Window(config), layer => (layer + 1) % pattern != 0),
        };
    }

    private static ModelConfig Scaled(ConfigFile config, ModelConfig common)
    {
        config.Require("use_bidirectional_attention", false);
        config.Ignore("hidden_act");
        var bias = config.Flag("attention_bias", false);
        return common with { EmbeddingScale = Math.Sqrt(common.Width), QkvBias = bias, AttentionOutputBias = bias };
    }

    private static ModelConfig Capped(ConfigFile config, ModelConfig common, double? finalCap) => common with
    {
        NormsAfter = true,
        AttentionScale = 1 / Math.Sqrt(config.Number("query_pre_attn_scalar", 256)),
        LogitSoftcap = config.Has("final_logit_softcapping") ? config.NumberOrNull("final_logit_softcapping") : finalCap,
    };

    private static int? Window(ConfigFile config) => config.Has("sliding_window") ? config.SizeOrNull("sliding_window") : 4096;

    /// <summary>Two sets of rotary positions: of the blocks that see all, which alone are ever stretched, and of those with a window.</summary>
    private static (Rope Everywhere, Rope Local) ReadRopes(ConfigFile config, int headWidth, int context)
    {
        const double Theta = 1e6;
        const double LocalTheta = 1e4;
        if (config.Section("rope_parameters") is not { } both)
        {
            return (Rope.Read(config, Theta, headWidth, context), new Rope(config.Number("rope_local_base_freq", LocalTheta), headWidth, null));
        }

        config.RequireAbsent("rope_scaling", "rope_parameters is given too");
        Rope Of(string kind, double theta) => both.Section(kind) is { } section
            ? Rope.ReadSection(config, section, theta, headWidth, context)
            : new Rope(theta, headWidth, null);
        return (Of("full_attention", config.Number("rope_theta", Theta)), Of("sliding_attention", config.Number("rope_local_base_freq", LocalTheta)));
    }
}

namespace LrtMesh.Core.Models.Families;

/// <summary>What most families' config.json have in common.</summary>
internal static class CommonKeys
{
    /// <summary>Reads sizes, activation and rotary positions; where a key is absent, the value that the family's class in transformers has.</summary>
    /// <param name="config">The file.</param>
    /// <param name="kvHeads">Key heads where the key is absent; null: as many as query heads, which an explicit null always means.</param>
    /// <param name="headWidth">Width of a head where the key is absent or null; null: hidden_size over heads.</param>
    /// <param name="context">Longest sequence in tokens.</param>
    /// <param name="epsilon">Epsilon of the norms.</param>
    /// <param name="theta">Base of the rotary frequencies.</param>
    /// <param name="tied">Whether the head is the embedding.</param>
    /// <param name="rotatedPart">Share of a head that is rotated, for families in which that can be set.</param>
    /// <param name="activationKey">The activation's key.</param>
    /// <param name="activation">Its name where the key is absent.</param>
    /// <param name="readsRope">Whether the rotary positions are laid out as usual; otherwise the family reads them itself.</param>
    public static ModelConfig Read(
        ConfigFile config,
        int context,
        int? kvHeads = null,
        int? headWidth = null,
        double epsilon = 1e-6,
        double theta = 10000,
        bool tied = false,
        double? rotatedPart = null,
        string activationKey = "hidden_act",
        string activation = "silu",
        bool readsRope = true)
    {
        var width = config.Size("hidden_size");
        var heads = config.Size("num_attention_heads");
        var head = config.Size("head_dim", headWidth ?? (width >= heads ? width / heads : throw config.Error("num_attention_heads", $"is {heads}, more than hidden_size = {width}")));
        var longest = config.Size("max_position_embeddings", context);
        var rope = readsRope ? Rope.Read(config, theta, head, longest, rotatedPart) : new Rope(theta, head, null);
        return new ModelConfig
        {
            Family = config.Text("model_type"),
            Vocabulary = config.Size("vocab_size"),
            Width = width,
            Layers = config.Size("num_hidden_layers"),
            Heads = heads,
            KvHeads = config.Has("num_key_value_heads") ? config.Size("num_key_value_heads", heads) : kvHeads ?? heads,
            HeadWidth = head,
            MlpWidth = config.Size("intermediate_size"),
            NormEpsilon = config.Number("rms_norm_eps", epsilon),
            RopeTheta = rope.Theta,
            RotaryWidth = rope.Width == head ? null : rope.Width,
            RopeScaling = rope.Scaling,
            Context = longest,
            TiedHead = config.Flag("tie_word_embeddings", tied),
            EndOfSequence = [],
            Activation = ReadActivation(config, activationKey, activation),
        };
    }

    /// <summary>An activation by transformers' name for it.</summary>
    public static Activation ReadActivation(ConfigFile config, string key, string fallback) => config.Text(key, fallback) switch
    {
        "silu" or "swish" => Activation.Silu,
        "gelu" or "gelu_python" => Activation.Gelu,
        "gelu_new" or "gelu_fast" or "gelu_pytorch_tanh" or "gelu_accurate" or "gelu_python_tanh" => Activation.GeluTanh,
        "quick_gelu" => Activation.QuickGelu,
        "relu" => Activation.Relu,
        "relu2" => Activation.ReluSquared,
        var other => throw config.Error(key, $"'{other}' is not one of: silu, gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu, relu2"),
    };

    /// <summary>The window of every block, from <c>layer_types</c> or, where that is absent, from a rule.</summary>
    /// <param name="config">The file.</param>
    /// <param name="layers">Number of blocks.</param>
    /// <param name="window">Width of the window; null: there is none.</param>
    /// <param name="isWindowed">Which blocks have it where <c>layer_types</c> does not say.</param>
    public static IReadOnlyList<int?> ReadWindows(ConfigFile config, int layers, int? window, Func<int, bool> isWindowed)
    {
        var types = config.Texts("layer_types") ?? [.. Enumerable.Range(0, layers).Select(i => isWindowed(i) ? "sliding_attention" : "full_attention")];
        if (types.Count != layers)
        {
            throw config.Error("layer_types", $"has {types.Count} entries, and num_hidden_layers is {layers}");
        }

        return [.. types.Select(type => type switch
        {
            "full_attention" => (int?)null,
            "sliding_attention" => window ?? throw config.Error("layer_types", "has sliding_attention, and no sliding_window is in use"),
            _ => throw config.Error("layer_types", $"'{type}' is not one of: full_attention, sliding_attention"),
        })];
    }
}

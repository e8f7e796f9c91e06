namespace LrtMesh.Core.Models.Families;

/// <summary>
/// A family of decoders as data: how its config.json reads and what its tensors are called. To add one, write a file
/// beside this one and list it in <see cref="All"/>.
/// </summary>
/// <param name="ModelType">Its <c>model_type</c> in config.json.</param>
/// <param name="ReadConfig">Reads config.json; throws for an option that this decoder does not have.</param>
/// <param name="Names">Names of its tensors.</param>
public sealed record Family(string ModelType, Func<ConfigFile, ModelConfig> ReadConfig, TensorNames Names)
{
    /// <summary>Every family that can be loaded.</summary>
    public static IReadOnlyList<Family> All { get; } =
    [
        Gpt2.Family, GptNeoX.Family, Llama.Family, Mistral.Family, Qwen.Family2, Qwen.Family3,
        Gemma.Family1, Gemma.Family2, Gemma.Family3, Phi3.Family, Olmo2.Family,
    ];

    /// <summary>Reads the config.json of a folder, and the ends of a sequence from generation_config.json where it names them.</summary>
    /// <exception cref="LrtMeshException">No family of that <c>model_type</c>, or an option that this decoder does not have; names it.</exception>
    public static (Family Family, ModelConfig Config) ReadFolder(string folder)
    {
        var (family, config) = Read(ConfigFile.Read(folder));
        var ends = ConfigFile.ReadIfPresent(folder, "generation_config.json")?.Ids("eos_token_id") ?? [];
        return (family, ends.Count == 0 ? config : config with { EndOfSequence = ends });
    }

    /// <summary>Reads a config.json.</summary>
    /// <exception cref="LrtMeshException">No family of that <c>model_type</c>, or an option that this decoder does not have; names it.</exception>
    public static (Family Family, ModelConfig Config) Read(ConfigFile file)
    {
        var modelType = file.Text("model_type");
        var family = All.FirstOrDefault(family => family.ModelType == modelType)
            ?? throw file.Error("model_type", $"'{modelType}' is not one of: {string.Join(", ", All.Select(f => f.ModelType))}");
        var config = family.ReadConfig(file) with { Family = modelType, EndOfSequence = file.Ids("eos_token_id") };
        file.RefuseUnread();
        Check(config, file);
        return (family, config);
    }

    private static void Check(ModelConfig config, ConfigFile file)
    {
        if (config.Heads % config.KvHeads != 0)
        {
            throw file.Error("num_key_value_heads", $"must divide num_attention_heads = {config.Heads}, and it is {config.KvHeads}");
        }

        if (config.RotatedWidth % 2 != 0 || config.RotatedWidth > config.HeadWidth || (!config.LearnedPositions && config.RotatedWidth == 0))
        {
            throw file.Error(
                config.RotaryWidth is null ? "head_dim" : "partial_rotary_factor",
                $"rotary positions turn dimensions of a head in pairs, and {config.RotatedWidth} of {config.HeadWidth} are asked for");
        }
    }
}

/// <summary>
/// Names of a family's tensors without ".weight" and ".bias"; "{0}" stands for the block. Which of them there are is said by the
/// configuration; what a family never has is null.
/// </summary>
public sealed record TensorNames
{
    /// <summary>What all names but the head's begin with; a model saved without its head leaves it out.</summary>
    public string Prefix { get; init; } = "model.";

    /// <summary>[vocabulary, width].</summary>
    public string Embedding { get; init; } = "embed_tokens";

    /// <summary>Learned positions, [context, width].</summary>
    public string? Positions { get; init; }

    /// <summary>Norm before attention, [width].</summary>
    public string? AttentionNorm { get; init; } = "layers.{0}.input_layernorm";

    /// <summary>[heads·head, width].</summary>
    public string? Query { get; init; } = "layers.{0}.self_attn.q_proj";

    /// <summary>[kv_heads·head, width].</summary>
    public string? Key { get; init; } = "layers.{0}.self_attn.k_proj";

    /// <summary>[kv_heads·head, width].</summary>
    public string? Value { get; init; } = "layers.{0}.self_attn.v_proj";

    /// <summary>Queries, keys and values in one, [(heads + 2·kv_heads)·head, width]; null: three tensors.</summary>
    public string? Qkv { get; init; }

    /// <summary>Whether the fused rows are each head's query, key and value; otherwise all queries, all keys, all values.</summary>
    public bool QkvByHead { get; init; }

    /// <summary>[head], or [heads·head] where it is over the whole width.</summary>
    public string? QueryNorm { get; init; }

    /// <summary>[head], or [kv_heads·head] where it is over the whole width.</summary>
    public string? KeyNorm { get; init; }

    /// <summary>[width, heads·head].</summary>
    public string AttentionOutput { get; init; } = "layers.{0}.self_attn.o_proj";

    /// <summary>Norm after attention, [width].</summary>
    public string? AttentionOutputNorm { get; init; }

    /// <summary>Norm before the MLP, [width].</summary>
    public string? MlpNorm { get; init; } = "layers.{0}.post_attention_layernorm";

    /// <summary>[mlp, width]; null where the MLP has no gate.</summary>
    public string? Gate { get; init; } = "layers.{0}.mlp.gate_proj";

    /// <summary>[mlp, width].</summary>
    public string? Up { get; init; } = "layers.{0}.mlp.up_proj";

    /// <summary>Gate and up in one, [2·mlp, width]; null: two tensors.</summary>
    public string? GateUp { get; init; }

    /// <summary>[width, mlp].</summary>
    public string Down { get; init; } = "layers.{0}.mlp.down_proj";

    /// <summary>Norm after the MLP, [width].</summary>
    public string? MlpOutputNorm { get; init; }

    /// <summary>[width].</summary>
    public string FinalNorm { get; init; } = "norm";

    /// <summary>[vocabulary, width], whole name but for ".weight"; absent where the head is tied.</summary>
    public string Head { get; init; } = "lm_head";

    /// <summary>Whether products are stored as [inputs, outputs] (GPT-2's Conv1D).</summary>
    public bool Transposed { get; init; }

    /// <summary>Whether norm weights are stored less 1.</summary>
    public bool NormsAroundZero { get; init; }

    /// <summary>
    /// Whole names of tensors that older versions of transformers wrote and that hold nothing learned: masks and rotary frequencies.
    /// </summary>
    public IReadOnlyList<string> Buffers { get; init; } = ["layers.{0}.self_attn.rotary_emb.inv_freq"];

    /// <summary>The names as a file has them: a model saved without its head has none of the prefix.</summary>
    public TensorNames AsIn(IReadOnlyCollection<string> present) =>
        !present.Contains($"{Prefix}{Embedding}.weight") && present.Contains($"{Embedding}.weight") ? this with { Prefix = "" } : this;

    /// <summary>Whether a tensor is one of <see cref="Buffers"/>, of whichever block.</summary>
    public bool IsBuffer(string name)
    {
        var stem = name.StartsWith(Prefix, StringComparison.Ordinal) ? name[Prefix.Length..] : name;
        return Buffers.Any(buffer => buffer.Split("{0}") is [var before, var after]
            && stem.Length > before.Length + after.Length
            && stem.StartsWith(before, StringComparison.Ordinal) && stem.EndsWith(after, StringComparison.Ordinal)
            && stem[before.Length..^after.Length].All(char.IsAsciiDigit));
    }
}

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
    public static IReadOnlyList<Family> All { get; } = [Llama.Family];

    /// <summary>The family of a checkpoint.</summary>
    /// <exception cref="LrtMeshException">No family of that <c>model_type</c>.</exception>
    public static Family Of(ConfigFile config)
    {
        var modelType = config.Text("model_type");
        return All.FirstOrDefault(family => family.ModelType == modelType)
            ?? throw config.Error("model_type", $"'{modelType}' is not one of: {string.Join(", ", All.Select(f => f.ModelType))}");
    }
}

/// <summary>Names of a family's tensors; "{0}" stands for the block.</summary>
public sealed record TensorNames
{
    /// <summary>[vocabulary, width].</summary>
    public required string Embedding { get; init; }

    /// <summary>[width].</summary>
    public required string AttentionNorm { get; init; }

    /// <summary>[heads·head, width].</summary>
    public required string Query { get; init; }

    /// <summary>[kv_heads·head, width].</summary>
    public required string Key { get; init; }

    /// <summary>[kv_heads·head, width].</summary>
    public required string Value { get; init; }

    /// <summary>[width, heads·head].</summary>
    public required string AttentionOutput { get; init; }

    /// <summary>[width].</summary>
    public required string MlpNorm { get; init; }

    /// <summary>[mlp, width].</summary>
    public required string Gate { get; init; }

    /// <summary>[mlp, width].</summary>
    public required string Up { get; init; }

    /// <summary>[width, mlp].</summary>
    public required string Down { get; init; }

    /// <summary>[width].</summary>
    public required string FinalNorm { get; init; }

    /// <summary>[vocabulary, width]; absent where the head is tied.</summary>
    public required string Head { get; init; }
}

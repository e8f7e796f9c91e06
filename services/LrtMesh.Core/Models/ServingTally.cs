namespace LrtMesh.Core.Models;

/// <summary>What a model's thread counts, since the model was loaded. That thread alone writes; any thread reads.</summary>
internal sealed class ServingTally
{
    /// <summary>Tokens of the prompts of sequences that were given a place.</summary>
    public long PromptTokens { get; set; }

    /// <summary>Those of them that the prefix cache held.</summary>
    public long HeldTokens { get; set; }

    /// <summary>Tokens generated, or forced.</summary>
    public long GeneratedTokens { get; set; }

    /// <summary>Tokens steered, once for each steering, of sequences that have ended.</summary>
    public long SteeredTokens { get; set; }

    /// <summary>Tokens read for their hidden states.</summary>
    public long ReadTokens { get; set; }
}

namespace LrtMesh.Cli.Evaluation;

/// <summary>What a model is steered with.</summary>
internal enum Arm
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>The vector learnt in the steered model itself.</summary>
    Native,

    /// <summary>The vector learnt in the small model, carried over by a map.</summary>
    Mapped,

    /// <summary>Random directions, every one as likely as any other.</summary>
    Random,

    /// <summary>Random directions that vary as the steered model's states do.</summary>
    RandomStates,

    /// <summary>The small model's vector, carried over by a map fitted on pairs that do not belong together.</summary>
    Shuffled,

    /// <summary>The small model's vector, carried over through a basis that models share.</summary>
    Basis,

    /// <summary>The small model's vector as it is, where widths agree.</summary>
    NoMap,

    /// <summary>Nothing, but a prompt with an example of the behaviour.</summary>
    Prompt,
}

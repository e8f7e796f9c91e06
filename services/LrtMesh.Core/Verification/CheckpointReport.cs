namespace LrtMesh.Core.Verification;

/// <summary>How a checkpoint computes, against reference activations. What the reference lacks is null.</summary>
public sealed record CheckpointReport
{
    /// <summary>Its family.</summary>
    public required string Family { get; init; }

    /// <summary>Rows of the reference.</summary>
    public required long Rows { get; init; }

    /// <summary>Tokens of a row.</summary>
    public required long Tokens { get; init; }

    /// <summary>The residual stream that enters block 0.</summary>
    public Difference? Embedding { get; init; }

    /// <summary>The layers that the reference has, by number.</summary>
    public required IReadOnlyList<(int Layer, Difference Difference)> Layers { get; init; }

    /// <summary>Next-token scores.</summary>
    public Difference? Logits { get; init; }

    /// <summary>Next-token scores with the vector added.</summary>
    public Difference? Steered { get; init; }

    /// <summary>Next-token scores with the direction taken out.</summary>
    public Difference? Ablated { get; init; }

    /// <summary>Whether the greedy continuations, and where they end, are exactly those of the reference.</summary>
    public bool? GreedyMatches { get; init; }

    /// <summary>Whether greedy continuations have to match; rounded weights may choose otherwise where two scores are close.</summary>
    public bool JudgesIds { get; init; } = true;

    /// <summary>What differs in the greedy continuations, in words; empty where nothing does.</summary>
    public IReadOnlyList<string> GreedyDifferences { get; init; } = [];

    /// <summary>Embedding and layers.</summary>
    public IEnumerable<Difference> Hidden => (Embedding is null ? [] : new[] { Embedding }).Concat(Layers.Select(entry => entry.Difference));

    /// <summary>Everything that is compared number by number.</summary>
    public IEnumerable<Difference> All => Hidden.Concat(new[] { Logits, Steered, Ablated }.OfType<Difference>());

    /// <summary>Whether all agrees.</summary>
    public bool Passed => All.All(difference => difference.Agrees) && (GreedyMatches != false || !JudgesIds);
}

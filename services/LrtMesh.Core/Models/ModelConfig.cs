namespace LrtMesh.Core.Models;

/// <summary>What a decoder is made of, read from a checkpoint's config.json by its family.</summary>
public sealed record ModelConfig
{
    /// <summary>The family, as <c>model_type</c>.</summary>
    public required string Family { get; init; }

    /// <summary>Entries of the vocabulary.</summary>
    public required int Vocabulary { get; init; }

    /// <summary>Width of the residual stream.</summary>
    public required int Width { get; init; }

    /// <summary>Number of blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads.</summary>
    public required int Heads { get; init; }

    /// <summary>Key and value heads; divides <see cref="Heads"/>.</summary>
    public required int KvHeads { get; init; }

    /// <summary>Width of one head; even, since rotary positions turn its dimensions in pairs.</summary>
    public required int HeadWidth { get; init; }

    /// <summary>Width of the gated MLP.</summary>
    public required int MlpWidth { get; init; }

    /// <summary>Added to the mean square in every RMS norm.</summary>
    public required double NormEpsilon { get; init; }

    /// <summary>Base of the rotary frequencies.</summary>
    public required double RopeTheta { get; init; }

    /// <summary>Longest sequence in tokens.</summary>
    public required int Context { get; init; }

    /// <summary>Whether the output head is the embedding.</summary>
    public required bool TiedHead { get; init; }

    /// <summary>Tokens that end a sequence.</summary>
    public required IReadOnlyList<int> EndOfSequence { get; init; }

    /// <summary>Width of queries, keys and values side by side.</summary>
    public int QkvWidth => (Heads + (2 * KvHeads)) * HeadWidth;
}

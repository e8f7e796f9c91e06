namespace LrtMesh.Core.Models;

/// <summary>What a decoder is made of, read from a checkpoint's config.json by its family. The defaults are those of Llama.</summary>
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

    /// <summary>Width of one head.</summary>
    public required int HeadWidth { get; init; }

    /// <summary>Width inside the MLP.</summary>
    public required int MlpWidth { get; init; }

    /// <summary>Added to the mean square (or the variance) in every norm.</summary>
    public required double NormEpsilon { get; init; }

    /// <summary>Longest sequence in tokens.</summary>
    public required int Context { get; init; }

    /// <summary>Whether the output head is the embedding.</summary>
    public required bool TiedHead { get; init; }

    /// <summary>Tokens that end a sequence.</summary>
    public required IReadOnlyList<int> EndOfSequence { get; init; }

    /// <summary>The embedding is multiplied by this.</summary>
    public double EmbeddingScale { get; init; } = 1;

    /// <summary>Whether positions are learned rows added to the embedding; otherwise they are rotary.</summary>
    public bool LearnedPositions { get; init; }

    /// <summary>Base of the rotary frequencies.</summary>
    public double RopeTheta { get; init; } = 10000;

    /// <summary>How the rotary frequencies are stretched; null: they are not.</summary>
    public RopeScaling? RopeScaling { get; init; }

    /// <summary>Dimensions of a head that are rotated, the first ones; even. Null: all.</summary>
    public int? RotaryWidth { get; init; }

    /// <summary>Base of the rotary frequencies in blocks with a window; null: as in the others, scaling included.</summary>
    public double? LocalRopeTheta { get; init; }

    /// <summary>With <see cref="LocalRopeTheta"/>: how those frequencies are stretched.</summary>
    public RopeScaling? LocalRopeScaling { get; init; }

    /// <summary>For each block how many tokens a token sees, itself included; null: all before it. Empty: no block has a window.</summary>
    public IReadOnlyList<int?> Windows { get; init; } = [];

    /// <summary>Products of queries and keys are multiplied by this; null: 1/√head.</summary>
    public double? AttentionScale { get; init; }

    /// <summary>Whether these products are also divided by the block's number, counted from 1.</summary>
    public bool ScalesAttentionByLayer { get; init; }

    /// <summary>c: attention scores s become c·tanh(s/c); null: as they are.</summary>
    public double? AttentionSoftcap { get; init; }

    /// <summary>c: next-token scores s become c·tanh(s/c); null: as they are.</summary>
    public double? LogitSoftcap { get; init; }

    /// <summary>The kind of the norms on the residual stream.</summary>
    public NormKind Norm { get; init; } = NormKind.Rms;

    /// <summary>Whether what enters attention and MLP is normed.</summary>
    public bool NormsBefore { get; init; } = true;

    /// <summary>Whether what attention and MLP add is normed.</summary>
    public bool NormsAfter { get; init; }

    /// <summary>Norms on queries and keys.</summary>
    public QueryKeyNorm QueryKeyNorm { get; init; }

    /// <summary>Whether queries, keys and values have biases.</summary>
    public bool QkvBias { get; init; }

    /// <summary>Whether attention's output product has a bias.</summary>
    public bool AttentionOutputBias { get; init; }

    /// <summary>Whether the MLP's products have biases.</summary>
    public bool MlpBias { get; init; }

    /// <summary>Whether the MLP is activation(gate)·up; otherwise activation(up).</summary>
    public bool GatedMlp { get; init; } = true;

    /// <summary>The MLP's activation.</summary>
    public Activation Activation { get; init; } = Activation.Silu;

    /// <summary>Whether the MLP reads what attention reads, and both are added at once.</summary>
    public bool ParallelResidual { get; init; }

    /// <summary>Width of queries, keys and values side by side.</summary>
    public int QkvWidth => (Heads + (2 * KvHeads)) * HeadWidth;

    /// <summary>Dimensions of a head that are rotated; 0 where positions are learned.</summary>
    public int RotatedWidth => LearnedPositions ? 0 : RotaryWidth ?? HeadWidth;

    /// <summary>Sequences longer than this read all their positions by other angles (LongRoPE); null: none do.</summary>
    public int? AngleSwitch => (RopeScaling as LongRopeScaling)?.OriginalContext;

    /// <summary>What a block multiplies products of queries and keys by.</summary>
    public double ScaleOfScores(int layer) => (AttentionScale ?? 1 / Math.Sqrt(HeadWidth)) / (ScalesAttentionByLayer ? layer + 1 : 1);

    /// <summary>How many tokens a token sees in a block, itself included; null: all before it.</summary>
    public int? WindowOf(int layer) => Windows.Count == 0 ? null : Windows[layer];
}

/// <summary>A norm of the residual stream.</summary>
public enum NormKind
{
    /// <summary>x/√(mean(x²) + ε)·w (Zhang and Sennrich 2019).</summary>
    Rms,

    /// <summary>(x − mean)/√(variance + ε)·w + b (Ba et al. 2016).</summary>
    Layer,
}

/// <summary>RMS norms on queries and keys, before their rotation.</summary>
public enum QueryKeyNorm
{
    /// <summary>None.</summary>
    None,

    /// <summary>Over each head; weights [head].</summary>
    Head,

    /// <summary>Over all heads side by side; weights [heads·head] and [kv_heads·head].</summary>
    Whole,
}

/// <summary>An activation of the MLP.</summary>
public enum Activation
{
    /// <summary>x·σ(x).</summary>
    Silu,

    /// <summary>x·Φ(x), exact.</summary>
    Gelu,

    /// <summary>GELU by its tanh approximation (Hendrycks and Gimpel 2016).</summary>
    GeluTanh,

    /// <summary>x·σ(1.702·x).</summary>
    QuickGelu,

    /// <summary>max(x, 0).</summary>
    Relu,

    /// <summary>max(x, 0)².</summary>
    ReluSquared,
}

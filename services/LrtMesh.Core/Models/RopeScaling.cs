namespace LrtMesh.Core.Models;

/// <summary>
/// How rotary frequencies are stretched to reach beyond the context that a model was first trained on. All in float64; the formulas
/// are those of transformers' modeling_rope_utils.
/// </summary>
public abstract record RopeScaling
{
    /// <summary>Cosines and sines are multiplied by this, so that attention scores are by its square.</summary>
    public virtual double Magnitude => 1;

    /// <summary>Radians a position, [width/2].</summary>
    /// <param name="theta">Base of the frequencies.</param>
    /// <param name="width">Rotated dimensions of a head.</param>
    /// <param name="scaling">How they are stretched; null: θ^(−2i/width) as they are (Su et al., RoFormer, eq. 15).</param>
    /// <param name="isLong">Whether the sequence is longer than the context first trained on; matters to LongRoPE alone.</param>
    public static double[] Frequencies(double theta, int width, RopeScaling? scaling, bool isLong)
    {
        var plain = Enumerable.Range(0, width / 2).Select(i => Math.Pow(theta, -2.0 * i / width)).ToArray();
        return scaling?.Stretch(plain, theta, isLong) ?? plain;
    }

    /// <summary>The stretched frequencies.</summary>
    protected abstract double[] Stretch(double[] plain, double theta, bool isLong);
}

/// <summary>Every frequency divided by a factor (position interpolation, Chen et al. 2023).</summary>
/// <param name="Factor">The factor, at least 1.</param>
public sealed record LinearScaling(double Factor) : RopeScaling
{
    /// <inheritdoc/>
    protected override double[] Stretch(double[] plain, double theta, bool isLong) => [.. plain.Select(f => f / Factor)];
}

/// <summary>Llama 3.1: long waves divided by a factor, short ones kept, a ramp between.</summary>
/// <param name="Factor">What long waves are divided by.</param>
/// <param name="LowFrequencyFactor">Waves longer than the original context over this are long.</param>
/// <param name="HighFrequencyFactor">Waves shorter than the original context over this are short.</param>
/// <param name="OriginalContext">Context first trained on, in tokens.</param>
public sealed record Llama3Scaling(double Factor, double LowFrequencyFactor, double HighFrequencyFactor, int OriginalContext) : RopeScaling
{
    /// <inheritdoc/>
    protected override double[] Stretch(double[] plain, double theta, bool isLong) => [.. plain.Select(frequency =>
    {
        var turns = OriginalContext * frequency / (2 * Math.PI); // in the original context
        var kept = Math.Clamp((turns - LowFrequencyFactor) / (HighFrequencyFactor - LowFrequencyFactor), 0, 1);
        return (frequency * kept) + (frequency / Factor * (1 - kept));
    })];
}

/// <summary>YaRN (Peng et al. 2023): dimensions that turn often keep their frequency, those that turn rarely are interpolated.</summary>
/// <param name="Factor">What interpolated frequencies are divided by.</param>
/// <param name="OriginalContext">Context first trained on, in tokens.</param>
/// <param name="BetaFast">From this many turns in the original context on, a frequency is kept.</param>
/// <param name="BetaSlow">Up to this many it is interpolated.</param>
/// <param name="Truncate">Whether the ramp's ends are rounded outwards to whole dimensions.</param>
/// <param name="AttentionFactor">Multiplies cosines and sines.</param>
public sealed record YarnScaling(
    double Factor, int OriginalContext, double BetaFast, double BetaSlow, bool Truncate, double AttentionFactor) : RopeScaling
{
    /// <inheritdoc/>
    public override double Magnitude => AttentionFactor;

    /// <inheritdoc/>
    protected override double[] Stretch(double[] plain, double theta, bool isLong)
    {
        var width = 2 * plain.Length;
        // The dimension, as a real number, that makes so many turns in the original context.
        double DimensionOf(double turns) => width * Math.Log(OriginalContext / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));

        var (low, high) = (DimensionOf(BetaFast), DimensionOf(BetaSlow));
        if (Truncate)
        {
            (low, high) = (Math.Floor(low), Math.Ceiling(high));
        }

        (low, high) = (Math.Max(low, 0), Math.Min(high, width - 1));
        var span = low == high ? 0.001 : high - low; // transformers' own way round a division by zero
        return [.. plain.Select((frequency, i) =>
        {
            var interpolated = Math.Clamp((i - low) / span, 0, 1);
            return (frequency / Factor * interpolated) + (frequency * (1 - interpolated));
        })];
    }
}

/// <summary>LongRoPE (Ding et al. 2024): a factor for each frequency, one set for sequences within the original context and one for longer.</summary>
/// <param name="ShortFactors">[width/2], up to the original context.</param>
/// <param name="LongFactors">[width/2], beyond it.</param>
/// <param name="OriginalContext">Context first trained on, in tokens.</param>
/// <param name="AttentionFactor">Multiplies cosines and sines, at any length.</param>
public sealed record LongRopeScaling(
    IReadOnlyList<double> ShortFactors, IReadOnlyList<double> LongFactors, int OriginalContext, double AttentionFactor) : RopeScaling
{
    /// <inheritdoc/>
    public override double Magnitude => AttentionFactor;

    /// <inheritdoc/>
    protected override double[] Stretch(double[] plain, double theta, bool isLong) =>
        [.. plain.Select((frequency, i) => frequency / (isLong ? LongFactors : ShortFactors)[i])];
}

using System.Numerics.Tensors;

namespace LrtMesh.Core.Models;

/// <summary>How a sequence's next token is chosen.</summary>
/// <param name="Temperature">0 takes the likeliest token.</param>
/// <param name="TopK">Only the k likeliest; 0: all.</param>
/// <param name="TopP">Only the likeliest whose probabilities sum to at least this; 1: all.</param>
/// <param name="Seed">Of the sequence's own random numbers.</param>
public sealed record SamplingOptions(double Temperature, int TopK, double TopP, ulong Seed);

/// <summary>Chooses one sequence's tokens with random numbers of its own: the same whatever else is in the batch.</summary>
public sealed class Sampler(SamplingOptions options)
{
    private ulong _state = options.Seed;

    /// <summary>Chooses a token.</summary>
    /// <param name="scores">[vocabulary], overwritten.</param>
    public int Choose(Span<float> scores)
    {
        if (options.Temperature == 0)
        {
            return TensorPrimitives.IndexOfMax(scores);
        }

        TensorPrimitives.Divide(scores, (float)options.Temperature, scores);
        TensorPrimitives.SoftMax(scores, scores);
        return options.TopK == 0 && options.TopP >= 1 ? Draw(scores) : DrawAmongLikeliest(scores);
    }

    private int DrawAmongLikeliest(Span<float> probabilities)
    {
        var order = new int[probabilities.Length];
        for (var i = 0; i < order.Length; i++)
        {
            order[i] = i;
        }

        var keys = probabilities.ToArray();
        TensorPrimitives.Negate(keys, keys);
        Array.Sort(keys, order); // likeliest first

        var kept = 0;
        var mass = 0.0;
        var most = options.TopK == 0 ? order.Length : Math.Min(options.TopK, order.Length);
        while (kept < most && (kept == 0 || mass < options.TopP))
        {
            mass += probabilities[order[kept++]];
        }

        var threshold = NextUniform() * mass;
        var sum = 0.0;
        for (var i = 0; i < kept - 1; i++)
        {
            sum += probabilities[order[i]];
            if (sum > threshold)
            {
                return order[i];
            }
        }

        return order[kept - 1];
    }

    private int Draw(ReadOnlySpan<float> probabilities)
    {
        var threshold = NextUniform();
        var sum = 0.0;
        var last = 0;
        for (var token = 0; token < probabilities.Length; token++)
        {
            if (probabilities[token] > 0)
            {
                sum += probabilities[token];
                last = token;
                if (sum > threshold)
                {
                    return token;
                }
            }
        }

        return last; // the float32 probabilities fell short of 1
    }

    /// <summary>SplitMix64 (Steele, Lea and Flood 2014): a number in [0, 1) of 53 bits.</summary>
    private double NextUniform()
    {
        var z = _state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return ((z ^ (z >> 31)) >> 11) * (1.0 / (1UL << 53));
    }
}

using System.Numerics.Tensors;

namespace LrtMesh.Core.Models;

/// <summary>How a sequence's next token is chosen.</summary>
/// <param name="Temperature">0 takes the likeliest token.</param>
/// <param name="TopK">Only the k likeliest; 0: all.</param>
/// <param name="TopP">Only the likeliest whose probabilities sum to at least this; 1: all.</param>
/// <param name="Seed">Of the sequence's own random numbers.</param>
public sealed record SamplingOptions(double Temperature, int TopK, double TopP, ulong Seed)
{
    /// <summary>The likeliest token each time.</summary>
    public static SamplingOptions Greedy { get; } = new(Temperature: 0, TopK: 0, TopP: 1, Seed: 0);

    /// <summary>Only tokens with at least this share of the likeliest one's probability; 0: all.</summary>
    public double MinP { get; init; }

    /// <summary>Divides positive scores of tokens of prompt and answer and multiplies negative ones; 1: nothing.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>Taken off the scores of the answer's tokens.</summary>
    public double PresencePenalty { get; init; }

    /// <summary>Taken off a token's score for each time that the answer holds it.</summary>
    public double FrequencyPenalty { get; init; }

    /// <summary>Added to scores.</summary>
    public IReadOnlyDictionary<int, float> LogitBias { get; init; } = new Dictionary<int, float>();

    /// <summary>How many of the likeliest tokens are told with each, with their log-probabilities; null: none, and not the token's own.</summary>
    public int? Logprobs { get; init; }
}

/// <summary>Chooses one sequence's tokens with random numbers of its own: the same whatever else is in the batch.</summary>
/// <param name="options">How.</param>
/// <param name="prompt">The prompt's tokens, for the repetition penalty.</param>
public sealed class Sampler(SamplingOptions options, IEnumerable<int> prompt)
{
    private const float BoundStep = 16;
    private const float LeastBound = 1e-9f; // times the likeliest: below it every token is taken

    private readonly List<int> _likeliest = [];
    private readonly HashSet<int> _seen = options.RepetitionPenalty == 1 ? [] : [.. prompt];
    private readonly Dictionary<int, int> _counts = []; // of the answer's tokens
    private ulong _state = options.Seed;

    /// <summary>Chooses a token: bias and penalties, temperature, then top-k, top-p and min-p.</summary>
    /// <param name="scores">[vocabulary], overwritten.</param>
    public int Choose(Span<float> scores)
    {
        Penalize(scores);
        var token = Pick(scores);
        _seen.Add(token);
        _counts[token] = _counts.GetValueOrDefault(token) + 1;
        return token;
    }

    private int Pick(Span<float> scores)
    {
        if (options.Temperature == 0)
        {
            return TensorPrimitives.IndexOfMax(scores);
        }

        TensorPrimitives.Divide(scores, (float)options.Temperature, scores);
        TensorPrimitives.SoftMax(scores, scores);
        return options is { TopK: 0, TopP: >= 1, MinP: 0 } ? Draw(scores) : DrawAmongLikeliest(scores);
    }

    private void Penalize(Span<float> scores)
    {
        foreach (var (token, bias) in options.LogitBias)
        {
            scores[token] += bias;
        }

        if (options.RepetitionPenalty != 1)
        {
            foreach (var token in _seen)
            {
                scores[token] = (float)(scores[token] > 0 ? scores[token] / options.RepetitionPenalty : scores[token] * options.RepetitionPenalty);
            }
        }

        if (options.PresencePenalty != 0 || options.FrequencyPenalty != 0)
        {
            foreach (var (token, count) in _counts)
            {
                scores[token] -= (float)(options.PresencePenalty + (count * options.FrequencyPenalty));
            }
        }
    }

    private int DrawAmongLikeliest(ReadOnlySpan<float> probabilities)
    {
        var most = options.TopK == 0 ? probabilities.Length : Math.Min(options.TopK, probabilities.Length);
        var order = Likeliest(probabilities, most);
        var kept = 0;
        var mass = 0.0;
        var least = options.MinP * probabilities[order[0]];
        while (kept < Math.Min(most, order.Count) && (kept == 0 || (mass < options.TopP && probabilities[order[kept]] >= least)))
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

    /// <summary>
    /// The likeliest tokens in order, of equal ones the first, and enough of them: those above a bound that is lowered until they are as many, or as
    /// likely together, as are wanted. A whole vocabulary takes milliseconds to sort, and a few tokens of it nearly always do.
    /// </summary>
    private List<int> Likeliest(ReadOnlySpan<float> probabilities, int most)
    {
        var largest = TensorPrimitives.Max(probabilities);
        var least = (float)(options.MinP * largest);
        for (var bound = largest / BoundStep; ; bound = bound < largest * LeastBound ? 0 : bound / BoundStep)
        {
            bound = Math.Max(bound, least);
            _likeliest.Clear();
            var mass = 0.0;
            for (var token = 0; token < probabilities.Length; token++)
            {
                if (probabilities[token] >= bound)
                {
                    _likeliest.Add(token);
                    mass += probabilities[token];
                }
            }

            if (bound <= least || _likeliest.Count >= most || (options.TopP < 1 && mass >= options.TopP))
            {
                return Sorted(probabilities);
            }
        }
    }

    private List<int> Sorted(ReadOnlySpan<float> probabilities)
    {
        var entries = new (float Negative, int Token)[_likeliest.Count];
        for (var i = 0; i < entries.Length; i++)
        {
            entries[i] = (-probabilities[_likeliest[i]], _likeliest[i]);
        }

        Array.Sort(entries);
        for (var i = 0; i < entries.Length; i++)
        {
            _likeliest[i] = entries[i].Token;
        }

        return _likeliest;
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

using System.Numerics.Tensors;

namespace LrtMesh.Core.Models;

/// <summary>Log-probabilities at one token, the model's own.</summary>
/// <param name="Chosen">Of the token that was chosen.</param>
/// <param name="Top">Of the likeliest, the likeliest first.</param>
public sealed record TokenLogprobs(double Chosen, IReadOnlyList<(int Token, double Logprob)> Top)
{
    /// <summary>Log-probabilities from scores.</summary>
    /// <param name="scores">[vocabulary].</param>
    /// <param name="chosen">The token.</param>
    /// <param name="top">How many of the likeliest.</param>
    public static TokenLogprobs Of(ReadOnlySpan<float> scores, int chosen, int top)
    {
        var largest = TensorPrimitives.Max(scores);
        var sum = 0.0;
        foreach (var score in scores)
        {
            sum += Math.Exp(score - largest);
        }

        var logSum = largest + Math.Log(sum);
        var likeliest = new PriorityQueue<int, float>(); // the least likely of them first
        for (var token = 0; token < scores.Length && top > 0; token++)
        {
            if (likeliest.Count < top)
            {
                likeliest.Enqueue(token, scores[token]);
            }
            else if (scores[token] > scores[likeliest.Peek()])
            {
                likeliest.DequeueEnqueue(token, scores[token]);
            }
        }

        var ordered = new (int, double)[likeliest.Count];
        for (var i = ordered.Length - 1; i >= 0; i--)
        {
            var token = likeliest.Dequeue();
            ordered[i] = (token, scores[token] - logSum);
        }

        return new TokenLogprobs(scores[chosen] - logSum, ordered);
    }
}

namespace LrtMesh.Core.Steering;

/// <summary>A direction learnt from contrast pairs.</summary>
/// <param name="Direction">Mean of the positive minus mean of the negative states, over all pairs, [width].</param>
/// <param name="Auc">Area under the ROC curve of held-out projections; 0.5 is chance.</param>
public sealed record LearntDirection(float[] Direction, double Auc);

/// <summary>
/// Difference of means (Marks and Tegmark 2023; "mean difference" of Rimsky et al. 2023): the mean hidden state of texts that show
/// a behaviour minus that of texts that do not. Sums are in float64.
/// </summary>
public static class DifferenceOfMeans
{
    // Every fifth pair, from the first on, is held out to measure the direction learnt on the others.
    private const int HeldOutEvery = 5;

    /// <summary>Learns a direction.</summary>
    /// <param name="positive">States of texts that show the behaviour, each [width].</param>
    /// <param name="negative">States of their partners, as many.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: fewer than 2 pairs, or the two means are equal.</exception>
    public static LearntDirection Learn(IReadOnlyList<float[]> positive, IReadOnlyList<float[]> negative)
    {
        if (positive.Count != negative.Count || positive.Count < 2)
        {
            throw LrtMeshException.Invalid("pairs", $"must be at least 2 pairs, not {positive.Count} positive and {negative.Count} negative texts");
        }

        var direction = Between(positive, negative, _ => true);
        if (Array.TrueForAll(direction, element => element == 0))
        {
            throw LrtMeshException.Invalid("pairs", "the positive and the negative texts have the same mean hidden state: their difference has no direction");
        }

        var train = Between(positive, negative, pair => pair % HeldOutEvery != 0);
        var auc = Auc(HeldOut(positive, train), HeldOut(negative, train));
        return new LearntDirection(Array.ConvertAll(direction, element => (float)element), auc);
    }

    /// <summary>
    /// Area under the ROC curve: the chance that a positive scores above a negative, ties counting half (Mann and Whitney).
    /// </summary>
    /// <param name="positive">Scores, at least one.</param>
    /// <param name="negative">Scores, at least one.</param>
    public static double Auc(IReadOnlyList<double> positive, IReadOnlyList<double> negative)
    {
        var scores = positive.Select(score => (Score: score, Positive: true)).Concat(negative.Select(score => (Score: score, Positive: false)))
            .OrderBy(entry => entry.Score).ToArray();
        var rankSum = 0.0; // of the positives; tied scores share their mean rank
        for (var start = 0; start < scores.Length;)
        {
            var end = start;
            while (end < scores.Length && scores[end].Score == scores[start].Score)
            {
                end++;
            }

            var rank = (start + 1 + end) / 2.0;
            rankSum += rank * scores[start..end].Count(entry => entry.Positive);
            start = end;
        }

        var count = (double)positive.Count;
        return (rankSum - (count * (count + 1) / 2)) / (count * negative.Count);
    }

    private static double[] Between(IReadOnlyList<float[]> positive, IReadOnlyList<float[]> negative, Func<int, bool> takes)
    {
        var sums = new double[positive[0].Length];
        var pairs = 0;
        for (var pair = 0; pair < positive.Count; pair++)
        {
            if (!takes(pair))
            {
                continue;
            }

            pairs++;
            for (var i = 0; i < sums.Length; i++)
            {
                sums[i] += (double)positive[pair][i] - negative[pair][i];
            }
        }

        return Array.ConvertAll(sums, sum => sum / pairs);
    }

    private static double[] HeldOut(IReadOnlyList<float[]> states, double[] direction) =>
        [.. states.Where((_, pair) => pair % HeldOutEvery == 0).Select(state => Dot(state, direction))];

    private static double Dot(float[] state, double[] direction)
    {
        var sum = 0.0;
        for (var i = 0; i < state.Length; i++)
        {
            sum += state[i] * direction[i];
        }

        return sum;
    }
}

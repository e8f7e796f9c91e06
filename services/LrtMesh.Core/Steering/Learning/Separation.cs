using System.Numerics.Tensors;

namespace LrtMesh.Core.Steering.Learning;

/// <summary>How well directions tell the texts of held-out pairs apart.</summary>
/// <param name="Auc">Area under the ROC curve of the projections; 0.5 is chance.</param>
/// <param name="Correlation">Pearson's, of the projections with the class; −1 to 1, 0 is chance.</param>
public sealed record Separation(double Auc, double Correlation)
{
    /// <summary>
    /// Each fold's texts are projected on the direction learnt from the other folds. So that projections of several folds compare, each is counted
    /// from the midpoint of the two means that its direction was learnt from, in gaps between them: there the means lie at ±½. Where the
    /// other folds have no direction, all projections are 0.
    /// </summary>
    /// <param name="states">All pairs.</param>
    /// <param name="folds">Which fold each pair is held out in.</param>
    /// <param name="learn">Learns a direction, [width], whose length is the gap of the means along it; null where there is none.</param>
    internal static Separation CrossValidate(PairedStates states, int[] folds, Func<PairedStates, double[]?> learn)
    {
        var positive = new List<double>();
        var negative = new List<double>();
        foreach (var fold in folds.Distinct())
        {
            var held = states.Only([.. Pairs(pair => folds[pair] == fold)]);
            var rest = states.Only([.. Pairs(pair => folds[pair] != fold)]);
            var direction = learn(rest);
            var squares = direction is null ? 0 : TensorPrimitives.SumOfSquares<double>(direction);
            var midpoint = (rest.Positive.Average(On) + rest.Negative.Average(On)) / 2;
            positive.AddRange(held.Positive.Select(state => On(state) - midpoint));
            negative.AddRange(held.Negative.Select(state => On(state) - midpoint));

            double On(double[] state) => direction is null ? 0 : TensorPrimitives.Dot<double>(state, direction) / squares;
        }

        return new Separation(AucOf(positive, negative), CorrelationOf(positive, negative));

        IEnumerable<int> Pairs(Predicate<int> which) => Enumerable.Range(0, folds.Length).Where(pair => which(pair));
    }

    /// <summary>
    /// Which of several to take: that of the highest AUC; of equal ones that of the highest correlation, since many layers may tell all pairs
    /// apart; of equal ones again the first.
    /// </summary>
    /// <param name="separations">At least one.</param>
    /// <returns>Its index.</returns>
    public static int Best(IReadOnlyList<Separation> separations) =>
        Enumerable.Range(0, separations.Count).MaxBy(i => (separations[i].Auc, separations[i].Correlation, -i));

    /// <summary>
    /// Area under the ROC curve: the chance that a positive scores above a negative, ties counting half (Mann and Whitney).
    /// </summary>
    /// <param name="positive">Scores, at least one.</param>
    /// <param name="negative">Scores, at least one.</param>
    internal static double AucOf(IReadOnlyList<double> positive, IReadOnlyList<double> negative)
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

    /// <summary>Pearson's correlation of scores with the class, as many of one as of the other; 0 where all scores are the same.</summary>
    internal static double CorrelationOf(IReadOnlyList<double> positive, IReadOnlyList<double> negative)
    {
        var middle = (positive.Average() + negative.Average()) / 2;
        var spread = positive.Concat(negative).Average(score => (score - middle) * (score - middle));
        return spread > 0 ? (positive.Average() - middle) / Math.Sqrt(spread) : 0;
    }
}

using System.Numerics.Tensors;
using LrtMesh.V1;

namespace LrtMesh.Core.Steering.Learning;

/// <summary>A direction learnt from contrast pairs.</summary>
/// <param name="Elements">
/// [width]. Whatever the method, with u its axis of length 1: u times the gap u·(mean of the positive − mean of the negative states). So it
/// points towards the positive class, and added with coefficient 1 it carries the mean negative state, along u, to the mean positive one.
/// For a difference of means that is the difference itself.
/// </param>
/// <param name="HeldOut">How well directions learnt so tell pairs apart that they were not learnt from.</param>
public sealed record LearntDirection(float[] Elements, Separation HeldOut)
{
    // Of the pairs' differences: a smaller gap is rounding.
    private const double SmallestGap = 1e-9;

    /// <summary>λ of the logistic probe where none is said.</summary>
    public static double DefaultProbeLambda => LogisticProbe.DefaultLambda;

    /// <summary>Learns a direction on all pairs, and measures such directions by cross-validation.</summary>
    /// <param name="states">The pairs.</param>
    /// <param name="folds">Which fold each pair is held out in, counted from 0 (<see cref="HeldOutFolds"/>).</param>
    /// <param name="method">One of the three that learn from pairs.</param>
    /// <param name="probeLambda">λ of a logistic probe.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the pairs have no direction by this method.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static LearntDirection Learn(PairedStates states, int[] folds, VectorMethod method, double probeLambda, CancellationToken cancellation)
    {
        var direction = Of(states) ?? throw LrtMeshException.Invalid(
            "pairs",
            method == VectorMethod.PcaOfDifferences
                ? "along the axis on which the texts of the pairs differ most, positive and negative texts have the same mean: it has no direction"
                : "the positive and the negative texts have the same mean hidden state: their difference has no direction");
        return new LearntDirection(Array.ConvertAll(direction, element => (float)element), Separation.CrossValidate(states, folds, Of));

        double[]? Of(PairedStates pairs)
        {
            cancellation.ThrowIfCancellationRequested();
            var means = DifferenceOfMeans.Axis(pairs);
            var axis = method switch
            {
                VectorMethod.DifferenceOfMeans => means,
                VectorMethod.PcaOfDifferences => PrincipalDifference.Axis(pairs, cancellation),
                VectorMethod.LogisticProbe => LogisticProbe.Axis(pairs, probeLambda, cancellation),
                _ => throw new ArgumentOutOfRangeException(nameof(method), method, "is not learnt from pairs"),
            };
            return Towards(axis, means, pairs);
        }
    }

    /// <summary>An axis, its length the gap of the means along it; null where there is no gap.</summary>
    private static double[]? Towards(double[] axis, double[] means, PairedStates pairs)
    {
        var length = TensorPrimitives.Norm<double>(axis);
        if (length == 0)
        {
            return null;
        }

        var gap = TensorPrimitives.Dot<double>(axis, means) / length;
        var typical = Math.Sqrt(pairs.Differences().Rows.Average(difference => TensorPrimitives.SumOfSquares<double>(difference)));
        return Math.Abs(gap) > SmallestGap * typical ? Array.ConvertAll(axis, element => element * (gap / length)) : null;
    }
}

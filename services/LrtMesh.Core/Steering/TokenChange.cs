using LrtMesh.V1;

namespace LrtMesh.Core.Steering;

/// <summary>
/// What several steerings in a row do to the hidden state h of one token at one layer: directions u are taken out of h one after
/// the other, and then a sum is added. Whatever comes first in the row, it comes to that, since what an ablation takes out of an
/// addition before it is known beforehand: (h + a) − ((h + a)·u)u = h − (h·u)u + a − (a·u)u.
/// </summary>
public sealed class TokenChange
{
    private readonly List<float[]> _removed = [];
    private readonly List<double> _fromSum = []; // for each ablation, what it takes out of the additions before it: a·u

    /// <summary>The change of steerings in a row.</summary>
    /// <param name="steerings">In their order, at least one.</param>
    public TokenChange(IReadOnlyList<PlannedSteering> steerings)
    {
        var sum = new double[steerings[0].Direction.Length];
        foreach (var steering in steerings)
        {
            var fromSum = 0.0;
            if (steering.Operator == SteeringOperator.Ablate)
            {
                for (var i = 0; i < sum.Length; i++)
                {
                    fromSum += sum[i] * steering.Direction[i];
                }

                _removed.Add(steering.Direction);
                _fromSum.Add(fromSum);
            }

            for (var i = 0; i < sum.Length; i++)
            {
                sum[i] += steering.Operator == SteeringOperator.Ablate ? -fromSum * steering.Direction[i] : steering.Direction[i];
            }
        }

        Added = Array.ConvertAll(sum, element => (float)element);
    }

    /// <summary>Unit directions that are taken out, in this order, each [width].</summary>
    public IReadOnlyList<float[]> Removed => _removed;

    /// <summary>What is added then, [width].</summary>
    public float[] Added { get; }

    /// <summary>Length of what an ablation takes out.</summary>
    /// <param name="ablation">Which one, counted from 0.</param>
    /// <param name="projection">The projection on its direction that the steering tap measured.</param>
    public double RemovedLength(int ablation, double projection) => Math.Abs(projection + _fromSum[ablation]);
}

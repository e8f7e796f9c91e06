using LrtMesh.V1;

namespace LrtMesh.Core.Steering;

/// <summary>
/// What several steerings in a row do to the hidden state h of one token at one layer: directions u are taken out of h one after
/// the other, and then a sum is added; a clamp takes its direction out and adds it as long as it shall be. Whatever comes first in
/// the row, it comes to that, since what is taken out of an addition before it is known beforehand:
/// (h + a) − ((h + a)·u)u = h − (h·u)u + a − (a·u)u. Where one of them preserves the norm, the outcome is scaled back to ‖h‖.
/// </summary>
public sealed class TokenChange
{
    private readonly List<float[]> _removed = [];
    private readonly double[] _lengths; // of what an addition adds, one entry a steering
    private readonly double[] _fromSum; // what is taken out of the additions before it less what a clamp puts there, one entry a steering
    private readonly bool[] _removes;

    /// <summary>The change of steerings in a row.</summary>
    /// <param name="steerings">In their order, at least one.</param>
    /// <param name="generated">Which generated token it is, from 0, for schedules; below for the prompt's.</param>
    public TokenChange(IReadOnlyList<PlannedSteering> steerings, int generated = -1)
    {
        var sum = new double[steerings[0].Direction.Length];
        _lengths = new double[steerings.Count];
        _fromSum = new double[steerings.Count];
        _removes = [.. steerings.Select(steering => steering.Operator != SteeringOperator.Add)];
        PreservesNorm = steerings.Any(steering => steering.PreservesNorm);
        for (var i = 0; i < steerings.Count; i++)
        {
            var (direction, factor) = (steerings[i].Direction, steerings[i].FactorAt(generated));
            var added = factor; // times the direction
            if (_removes[i])
            {
                var wanted = steerings[i].Operator == SteeringOperator.Clamp ? steerings[i].Projection * factor : 0;
                added = wanted - Dot(sum, direction);
                _fromSum[i] = -added;
                _removed.Add(direction);
            }
            else
            {
                _lengths[i] = Math.Abs(factor) * Math.Sqrt(Dot(Array.ConvertAll(direction, element => (double)element), direction));
            }

            for (var d = 0; d < sum.Length; d++)
            {
                sum[d] += added * direction[d];
            }
        }

        Added = Array.ConvertAll(sum, element => (float)element);
    }

    /// <summary>Unit directions that are taken out, in this order, each [width].</summary>
    public IReadOnlyList<float[]> Removed => _removed;

    /// <summary>What is added then, [width].</summary>
    public float[] Added { get; }

    /// <summary>Whether the outcome is scaled back to the length before.</summary>
    public bool PreservesNorm { get; }

    /// <summary>Length of what each steering changes, before the outcome is scaled.</summary>
    /// <param name="projections">The projections on the directions taken out, in their order, that the steering tap measured.</param>
    public double[] Lengths(IReadOnlyList<float> projections)
    {
        var lengths = (double[])_lengths.Clone();
        var removed = 0;
        for (var i = 0; i < lengths.Length; i++)
        {
            if (_removes[i])
            {
                lengths[i] = Math.Abs(projections[removed++] + _fromSum[i]);
            }
        }

        return lengths;
    }

    private static double Dot(double[] a, float[] b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
        {
            sum += a[i] * b[i];
        }

        return sum;
    }
}

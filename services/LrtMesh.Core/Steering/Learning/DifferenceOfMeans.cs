using System.Numerics.Tensors;

namespace LrtMesh.Core.Steering.Learning;

/// <summary>
/// Difference of means (Marks and Tegmark 2023; "mean difference" of Rimsky et al. 2023): the mean hidden state of texts that show
/// a behaviour minus that of texts that do not.
/// </summary>
internal static class DifferenceOfMeans
{
    /// <summary>Mean of the positive minus mean of the negative states, [width].</summary>
    public static double[] Axis(PairedStates states)
    {
        var mean = new double[states.Width];
        foreach (var difference in states.Differences().Rows)
        {
            TensorPrimitives.Add<double>(mean, difference, mean);
        }

        TensorPrimitives.Divide(mean, states.Count, mean);
        return mean;
    }
}

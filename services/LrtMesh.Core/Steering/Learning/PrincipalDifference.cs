using System.Numerics.Tensors;

namespace LrtMesh.Core.Steering.Learning;

/// <summary>
/// PCA of differences (Zou et al. 2023, "representation reading", whose pairs are put in random order, so that ±d are as likely; here that
/// is exact): the axis along which the pairs' differences d, not centred, have the largest mean square. It is the top eigenvector of Σ d·dᵀ,
/// found by the method of Lanczos with every vector made orthogonal to all before it, so that it needs no matrix [width, width].
/// </summary>
internal static class PrincipalDifference
{
    // What the eigenvalue's residual may be of the eigenvalue.
    private const double Tolerance = 1e-12;

    /// <summary>The axis, of length 1 and either sign, [width].</summary>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static double[] Axis(PairedStates states, CancellationToken cancellation)
    {
        var differences = states.Differences();
        var basis = new List<double[]>();
        var (diagonal, beside) = (new List<double>(), new List<double>()); // of the matrix within the basis, which is tridiagonal
        var next = Start(differences.Width);
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            basis.Add(next);
            var image = differences.TransposedTimes(differences.Times(next));
            diagonal.Add(TensorPrimitives.Dot<double>(next, image));
            foreach (var vector in basis.Concat(basis)) // once leaves what rounding left
            {
                TensorPrimitives.MultiplyAdd<double>(vector, -TensorPrimitives.Dot<double>(vector, image), image, image);
            }

            var rest = TensorPrimitives.Norm<double>(image);
            var (value, weights) = Tridiagonal.Largest([.. diagonal], [.. beside]);
            if (!(rest * Math.Abs(weights[^1]) > Tolerance * value) || basis.Count == differences.Width)
            {
                return new StateRows([.. basis]).TransposedTimes(weights);
            }

            TensorPrimitives.Divide(image, rest, image);
            beside.Add(rest);
            next = image;
        }
    }

    // The same for every call, and orthogonal to no axis that data could have.
    private static double[] Start(int width)
    {
        var random = new Random(width);
        var start = new double[width];
        for (var i = 0; i < width; i++)
        {
            start[i] = random.NextDouble() + random.NextDouble() - 1;
        }

        TensorPrimitives.Divide(start, TensorPrimitives.Norm<double>(start), start);
        return start;
    }
}

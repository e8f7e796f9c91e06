namespace LrtMesh.Core.Steering.Learning;

/// <summary>The largest eigenvalue of a symmetric tridiagonal matrix, and its vector.</summary>
internal static class Tridiagonal
{
    /// <summary>By bisection on the signs of the pivots (Sturm), then inverse iteration.</summary>
    /// <param name="diagonal">[n].</param>
    /// <param name="beside">Above and below it, [n − 1].</param>
    /// <returns>The eigenvalue and its vector of length 1, [n].</returns>
    public static (double Value, double[] Vector) Largest(double[] diagonal, double[] beside)
    {
        var pivots = new double[diagonal.Length];
        var below = diagonal.Max();
        var above = Enumerable.Range(0, diagonal.Length).Max(i =>
            diagonal[i] + Math.Abs(i > 0 ? beside[i - 1] : 0) + Math.Abs(i < beside.Length ? beside[i] : 0));
        above += Math.Max(Math.Abs(above) * 1e-12, 1e-300); // Gershgorin's bound may be the eigenvalue
        while (true)
        {
            var middle = below + ((above - below) / 2);
            if (!(middle > below && middle < above))
            {
                break;
            }

            (below, above) = IsAbove(middle) ? (below, middle) : (middle, above);
        }

        IsAbove(above);
        var vector = new double[diagonal.Length];
        Array.Fill(vector, 1);
        for (var step = 0; step < 3; step++)
        {
            Solve(vector);
            var norm = Math.Sqrt(vector.Sum(element => element * element));
            vector = Array.ConvertAll(vector, element => element / norm);
        }

        return (above, vector);

        // Whether all eigenvalues lie below x: whether x·I less the matrix has positive pivots.
        bool IsAbove(double x)
        {
            for (var i = 0; i < pivots.Length; i++)
            {
                pivots[i] = x - diagonal[i] - (i > 0 ? beside[i - 1] * beside[i - 1] / pivots[i - 1] : 0);
                if (!(pivots[i] > 0))
                {
                    return false;
                }
            }

            return true;
        }

        // (x·I less the matrix)⁻¹·vector by the pivots, in place.
        void Solve(double[] vector)
        {
            for (var i = 1; i < vector.Length; i++)
            {
                vector[i] += beside[i - 1] / pivots[i - 1] * vector[i - 1];
            }

            for (var i = vector.Length - 1; i >= 0; i--)
            {
                vector[i] = (vector[i] + (i < beside.Length ? beside[i] * vector[i + 1] : 0)) / pivots[i];
            }
        }
    }
}

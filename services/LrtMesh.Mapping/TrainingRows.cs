using LrtMesh.Core;

namespace LrtMesh.Mapping;

/// <summary>Rows of one pair, kept for a solver that needs them all, up to a bound.</summary>
internal sealed class TrainingRows(int sourceWidth, int targetWidth, long memory)
{
    private const int Copies = 3; // the lists as they grow, and the solver's own

    private readonly List<float> _x = [];
    private readonly List<float> _y = [];

    /// <summary>[rows, source width].</summary>
    public float[] X => [.. _x];

    /// <summary>[rows, target width].</summary>
    public float[] Y => [.. _y];

    /// <summary>Adds rows; those with a number that is not finite are left out.</summary>
    /// <exception cref="LrtMeshException">ResourceExhausted: more rows than may be kept.</exception>
    public void Add(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        for (var row = 0; row < x.Length / sourceWidth; row++)
        {
            var source = x.Slice(row * sourceWidth, sourceWidth);
            var target = y.Slice(row * targetWidth, targetWidth);
            if (IsFinite(source) && IsFinite(target))
            {
                _x.AddRange(source);
                _y.AddRange(target);
            }
        }

        var most = Math.Min(memory / Copies / sizeof(float), Array.MaxLength);
        if ((long)_x.Count + _y.Count > most)
        {
            throw new LrtMeshException(
                ErrorReason.ResourceExhausted,
                [new Violation("fit.solver", $"AdamW keeps all rows in memory, and there is room for {most / (sourceWidth + targetWidth)} of these widths: give fewer documents, or use another solver")]);
        }
    }

    private static bool IsFinite(ReadOnlySpan<float> row)
    {
        foreach (var value in row)
        {
            if (!float.IsFinite(value))
            {
                return false;
            }
        }

        return true;
    }
}

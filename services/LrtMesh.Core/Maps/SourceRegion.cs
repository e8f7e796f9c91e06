using System.Numerics.Tensors;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Where the rows lay that a map was fitted on, kept small enough to be stored beside it: the mean, each dimension's scale, and
/// the directions of largest variance of the scaled rows. From it follows how far a new input lies from them (Mahalanobis 1936).
/// </summary>
/// <remarks>
/// With as many directions as dimensions the distance is exact. With fewer, what lies outside them is measured by the mean
/// variance there, as in probabilistic principal components (Tipping and Bishop 1999): the noisy end of the spectrum, where an
/// exact distance divides by almost nothing, counts on average. It takes 4·(d·(k + 2) + k + 2) bytes: 0.8 MB for 768
/// dimensions and 256 directions, beside 3 MB for a map to 1024.
/// </remarks>
/// <param name="Mean">[d].</param>
/// <param name="Scale">Standard deviation of each dimension, [d]; 1 for one that never varied.</param>
/// <param name="Directions">Orthonormal rows in scaled units, [k, d].</param>
/// <param name="Variances">Variance along each direction in scaled units, [k].</param>
/// <param name="RestVariance">Mean variance along what is left, in scaled units.</param>
/// <param name="Usual">Distance below which 99% of a sample of held-out rows lay; 0 if there was none.</param>
public sealed record SourceRegion(
    float[] Mean, float[] Scale, float[] Directions, float[] Variances, float RestVariance, float Usual)
{
    /// <summary>Directions kept where a caller names none.</summary>
    public const int DefaultDirections = 256;

    /// <summary>Bytes that it takes.</summary>
    public static long BytesNeeded(int width, int directions) =>
        sizeof(float) * (((long)width * (Math.Min(width, directions) + 2)) + Math.Min(width, directions) + 2);

    /// <summary>The region of arrays that <see cref="Arrays"/> made.</summary>
    public static SourceRegion Of(IReadOnlyList<float[]> arrays) => new(arrays[0], arrays[1], arrays[2], arrays[3], arrays[4][0], arrays[4][1]);

    /// <summary>Mean [d], scale [d], directions [k, d], variances [k], and [2]: the rest's variance and the usual distance.</summary>
    public float[][] Arrays() => [Mean, Scale, Directions, Variances, [RestVariance, Usual]];

    /// <summary>From the rows of a fit.</summary>
    /// <param name="moments">What a map was fitted on, with its held-out sample.</param>
    /// <param name="directions">k, at least 1; no more than the width are kept.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: too few rows.</exception>
    public static SourceRegion Of(FoldedMoments moments, int directions = DefaultDirections)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(directions, 1);
        var fit = moments.Fit();
        var width = fit.SourceWidth;
        var k = Math.Min(width, directions);
        using var scope = NewDisposeScope();
        var centred = CentredMoments.Of(fit);
        var covariance = new SourceCovariance(centred, standardize: true);
        var (sums, basis) = linalg.eigh(covariance.Matrix); // eigenvalues of a correlation matrix, ascending
        var known = where(sums > covariance.Noise(basis), sums, zeros_like(sums));

        // Nothing is nearer than rounding can tell: along a direction that no row took, an input is far but not infinitely so.
        var floor = Math.Max(covariance.MostNoise, double.Epsilon);
        var rest = k < width ? Math.Max(floor, known.narrow(0, 0, width - k).mean().item<double>()) : 1;
        var kept = basis.narrow(1, width - k, k).t(); // [k, d]
        var deviations = covariance.Scale.div(Number.Of(Math.Sqrt(fit.Rows - 1)));
        var region = new SourceRegion(
            Floats(centred.MeanX.add(tensor(fit.OriginX).to(ScalarType.Float64), Number.One)),
            Floats(where(covariance.Varies.gt(Number.Of(0)), deviations, ones_like(deviations))),
            Floats(kept),
            Floats(known.narrow(0, width - k, k).clamp_min(Number.Of(floor))),
            (float)rest,
            0);
        var distances = moments.SampleX.Chunk(width).Select(row => region.Distance(row, isState: true)).Order().ToArray();
        return region with { Usual = distances.Length == 0 ? 0 : (float)distances[(distances.Length - 1) * 99 / 100] };
    }

    /// <summary>How far an input lies from the rows of the fit, in standard deviations: about √d for one of them.</summary>
    /// <param name="x">[d].</param>
    /// <param name="isState">True for a state, measured from the mean; false for a direction, which is a difference of states.</param>
    public double Distance(ReadOnlySpan<float> x, bool isState)
    {
        var width = Mean.Length;
        if (x.Length != width)
        {
            throw LrtMeshException.Invalid("x", $"must have the map's source width {width}, not {x.Length}");
        }

        var scaled = x.ToArray();
        if (isState)
        {
            TensorPrimitives.Subtract(scaled, Mean, scaled);
        }

        TensorPrimitives.Divide(scaled, Scale, scaled);
        var sum = 0.0;
        for (var i = 0; i < Variances.Length; i++)
        {
            var direction = Directions.AsSpan(i * width, width);
            var along = TensorPrimitives.Dot(direction, scaled);
            sum += (double)along * along / Variances[i];
            if (Variances.Length < width)
            {
                TensorPrimitives.MultiplyAdd(direction, -along, scaled, scaled); // what is left lies outside the directions
            }
        }

        return Math.Sqrt(sum + (Variances.Length < width ? TensorPrimitives.Dot<float>(scaled, scaled) / RestVariance : 0));
    }

    private static float[] Floats(torch.Tensor values) => [.. CentredMoments.Copy(values).Select(v => (float)v)];
}

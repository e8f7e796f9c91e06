using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>How alike two layers are, whatever map is fitted between them, and how well conditioned a map is.</summary>
public static class LayerSimilarity
{
    /// <summary>
    /// Linear centred kernel alignment, ‖Σxy‖² / (‖Σxx‖·‖Σyy‖) about the means, from 0 to 1 (Kornblith et al. 2019, equation
    /// after (3)); 0 where a layer never varies. A few dimensions of large variance decide it.
    /// </summary>
    public static double LinearCka(PairMoments moments)
    {
        using var scope = NewDisposeScope();
        var centred = CentredMoments.Of(moments);
        var scale = Norm(centred.Xx) * Norm(CentredMoments.TargetsOf(moments));
        return scale > 0 ? Math.Pow(Norm(centred.Xy), 2) / scale : 0;
    }

    /// <summary>
    /// Singular vector canonical correlation (Raghu et al. 2017): each layer is reduced to the principal components that keep a
    /// share of its variance, and the canonical correlations between what is left are averaged over the lesser number of components.
    /// </summary>
    /// <param name="moments">Rows; where they are not many times the components, correlations come out high by chance.</param>
    /// <param name="keptVariance">Above 0 and at most 1.</param>
    public static Svcca Svcca(PairMoments moments, double keptVariance = 0.99)
    {
        if (!(keptVariance > 0 && keptVariance <= 1))
        {
            throw LrtMeshException.Invalid("kept_variance", "must be above 0 and at most 1");
        }

        using var scope = NewDisposeScope();
        var centred = CentredMoments.Of(moments);
        var x = Whitening(centred.Xx, keptVariance); // [ds, kx]
        var y = Whitening(CentredMoments.TargetsOf(moments), keptVariance); // [dt, ky]
        if (x.shape[1] == 0 || y.shape[1] == 0)
        {
            return new Svcca(0, (int)x.shape[1], (int)y.shape[1], moments.Rows);
        }

        var correlations = linalg.svdvals(x.t().matmul(centred.Xy).matmul(y)).clamp(Number.Of(0), Number.Of(1));
        return new Svcca(correlations.mean().item<double>(), (int)x.shape[1], (int)y.shape[1], moments.Rows);
    }

    /// <summary>Largest over least singular value of a map, the least over min(dt, ds) of them; infinite where it loses a direction.</summary>
    /// <param name="a">[dt, ds], row-major.</param>
    /// <param name="targetWidth">dt.</param>
    public static double ConditionNumber(ReadOnlySpan<double> a, int targetWidth)
    {
        using var scope = NewDisposeScope();
        var values = linalg.svdvals(CentredMoments.Matrix(a, targetWidth));
        var (most, least) = (values[0].item<double>(), values[-1].item<double>());
        return least > most * 1e-15 ? most / least : double.PositiveInfinity;
    }

    /// <summary>Largest over least eigenvalue of the source's covariance; infinite where its rows do not fill its dimensions.</summary>
    public static double SourceConditionNumber(PairMoments moments)
    {
        using var scope = NewDisposeScope();
        var covariance = new SourceCovariance(CentredMoments.Of(moments), standardize: false);
        var (values, basis) = linalg.eigh(covariance.Matrix);
        return (values > covariance.Noise(basis)).all().item<bool>()
            ? values[-1].item<double>() / values[0].item<double>()
            : double.PositiveInfinity;
    }

    /// <summary>Principal components that keep a share of the variance, each divided by its standard deviation, [d, k].</summary>
    private static Tensor Whitening(Tensor covariance, double keptVariance)
    {
        var (values, basis) = linalg.eigh(covariance);
        var descending = CentredMoments.Copy(values.clamp_min(Number.Of(0)).flip(0));
        var noise = descending[0] * descending.Length / (1 << 24);
        var kept = Math.Min(ReducedRank.RankKeeping(descending, keptVariance), descending.Count(v => v > noise));
        return basis.narrow(1, descending.Length - kept, kept).div(values.narrow(0, descending.Length - kept, kept).sqrt());
    }

    private static double Norm(Tensor values) => values.mul(values).sum().sqrt().item<double>();
}

/// <summary>Singular vector canonical correlation of two layers.</summary>
/// <param name="Mean">Mean canonical correlation, 0 to 1.</param>
/// <param name="SourceComponents">Principal components of the source that were kept.</param>
/// <param name="TargetComponents">Of the target.</param>
/// <param name="Rows">Rows that it was measured on.</param>
public sealed record Svcca(double Mean, int SourceComponents, int TargetComponents, long Rows);

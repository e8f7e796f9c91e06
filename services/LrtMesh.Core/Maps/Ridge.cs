using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Ridge regression in closed form from moments, in float64: A = Σyxᵀ·(Σxx + λ·s)⁻¹ about the means, with s the mean variance
/// of the source's dimensions times the rows, so that λ has no unit. One eigendecomposition gives the map of every λ.
/// </summary>
/// <remarks>
/// Standardized, s is each dimension's own variance instead: a few dimensions far larger than the others, which real models
/// have, then do not set the penalty of all.
/// </remarks>
public static class Ridge
{
    /// <summary>The penalties that cross-validation tries: 0, and 10⁻¹⁰ to 10 in steps of half a decade.</summary>
    public static IReadOnlyList<double> Lambdas { get; } = [0, .. Enumerable.Range(0, 23).Select(i => Math.Pow(10, (i / 2.0) - 10))];

    /// <summary>Fits a map on all folds but the held-out one, and measures it there.</summary>
    /// <param name="moments">What was gathered.</param>
    /// <param name="lambda">The penalty, finite and not negative; null to choose it by <see cref="CrossValidate(FoldedMoments, bool)"/>.</param>
    /// <param name="standardize">Penalize each dimension by its own variance.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the penalty. FailedPrecondition: too few rows in the fit or none held out.</exception>
    public static MapFit Fit(FoldedMoments moments, double? lambda = null, bool standardize = false)
    {
        var watch = Stopwatch.StartNew();
        var fit = moments.Fit();
        var chosen = lambda is { } given ? Checked(given) : CrossValidate(moments, fit, standardize).MinBy(score => score.Error)!.Lambda;
        using var scope = NewDisposeScope();
        var centred = CentredMoments.Of(fit);
        return MapFit.Measure(FitMethod.Ridge, moments, fit, centred, Solve(centred, chosen, standardize), chosen, watch);
    }

    /// <summary>
    /// Fits the control: the same source rows and penalty, with target rows of other documents. Measured, like the map, on the
    /// true pairs of the held-out fold.
    /// </summary>
    /// <param name="moments">What was gathered, the control included.</param>
    /// <param name="lambda">The penalty of the map that this is the control of.</param>
    /// <param name="standardize">As for that map.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: no control was gathered, or no two documents to derange.</exception>
    public static MapFit FitShuffled(FoldedMoments moments, double lambda, bool standardize = false)
    {
        var watch = Stopwatch.StartNew();
        var fit = moments.Fit();
        if (moments.Control is not { Rows: > 1 } control)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, "fit.shuffled_control: needs at least two documents with rows outside the held-out fold");
        }

        using var scope = NewDisposeScope();
        var centred = CentredMoments.Of(fit).With(control);
        return MapFit.Measure(FitMethod.Ridge, moments, fit, centred, Solve(centred, Checked(lambda), standardize), lambda, watch);
    }

    /// <summary>
    /// The error of each of <see cref="Lambdas"/>: every fold but the held-out one is predicted from the others, all from
    /// moments alone.
    /// </summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: fewer than two folds have rows beside the held-out one.</exception>
    public static IReadOnlyList<LambdaScore> CrossValidate(FoldedMoments moments, bool standardize = false) =>
        CrossValidate(moments, moments.Fit(), standardize);

    /// <summary>Memory in bytes that a fit takes beside the accumulator, at its peak.</summary>
    internal static Int128 BytesNeeded(int sourceWidth, int targetWidth)
    {
        Int128 ds = sourceWidth;
        Int128 dt = targetWidth;

        // Summed moments and those with a fold subtracted; then in torch the fold's moments about the fit's means with a
        // temporary each, Σxx, its scaled copy and its basis with eigh's workspace, and products in that basis.
        var moments = (ds * ds) + (ds * dt) + (dt * dt);
        return ((4 * moments) + (8 * ds * ds) + (3 * ds * dt)) * sizeof(double);
    }

    internal static Solution Solve(CentredMoments moments, double lambda, bool standardize) =>
        lambda == 0 ? LeastSquares.Solve(moments) : new Spectrum(moments, standardize).Solve(lambda);

    internal static double Checked(double lambda) => double.IsFinite(lambda) && lambda >= 0
        ? lambda
        : throw LrtMeshException.Invalid("fit.lambda", $"must be a finite number of at least 0, not {lambda}");

    private static IReadOnlyList<LambdaScore> CrossValidate(FoldedMoments moments, PairMoments fit, bool standardize)
    {
        var errors = new double[Lambdas.Count];
        var rows = 0L;
        foreach (var validation in moments.Folds)
        {
            if (validation.Rows == 0 || fit.Rows - validation.Rows < 2)
            {
                continue;
            }

            var train = fit.Clone();
            train.Subtract(validation);
            using var scope = NewDisposeScope();
            var residual = new Spectrum(CentredMoments.Of(train), standardize).Residual(validation);
            for (var i = 0; i < errors.Length; i++)
            {
                errors[i] += residual(Lambdas[i]);
            }

            rows += validation.Rows;
        }

        return rows > 0
            ? [.. Lambdas.Select((lambda, i) => new LambdaScore(lambda, errors[i] / rows))]
            : throw new LrtMeshException(
                ErrorReason.FailedPrecondition,
                "documents: to choose lambda, at least two folds beside the held-out one must have rows; give more documents, or fit.lambda");
    }
}

/// <summary>How well a λ did in cross-validation.</summary>
/// <param name="Lambda">The penalty, relative to the mean variance of the source's dimensions.</param>
/// <param name="Error">Sum over the fit's folds of squared residuals on the fold left out, divided by the rows.</param>
public sealed record LambdaScore(double Lambda, double Error);

using System.Diagnostics;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Ridge regression in closed form from moments, in float64: A = Σyxᵀ·(Σxx + λ·s)⁻¹ about the means, with s the mean variance
/// of the source's dimensions times the rows, so that λ has no unit. One eigendecomposition gives the map of every λ.
/// </summary>
public static class Ridge
{
    /// <summary>The penalties that cross-validation tries: 0, and 10⁻¹⁰ to 10 in steps of half a decade.</summary>
    public static IReadOnlyList<double> Lambdas { get; } = [0, .. Enumerable.Range(0, 23).Select(i => Math.Pow(10, (i / 2.0) - 10))];

    /// <summary>Fits a map on all folds but the held-out one, and measures it there.</summary>
    /// <param name="moments">What was gathered.</param>
    /// <param name="lambda">The penalty, finite and not negative; null to choose it by <see cref="CrossValidate"/>.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the penalty. FailedPrecondition: too few rows in the fit or none held out.</exception>
    public static RidgeFit Fit(MomentAccumulator moments, double? lambda = null)
    {
        var watch = Stopwatch.StartNew();
        var fit = FitMoments(moments);
        var chosen = lambda is { } given ? Checked(given) : CrossValidate(moments, fit).MinBy(score => score.Error)!.Lambda;
        using var scope = NewDisposeScope();
        var (meanX, meanY) = (Spectrum.Vector(fit.SumX).div_(fit.Rows), Spectrum.Vector(fit.SumY).div_(fit.Rows));
        var cross = Spectrum.Centred(fit.Xy, meanX, meanY, fit.Rows); // [ds, dt]
        return Solve(moments, fit, cross, meanY, chosen, watch);
    }

    /// <summary>
    /// Fits the control: the same source rows and penalty, with target rows of other documents. Measured, like the map, on the
    /// true pairs of the held-out fold.
    /// </summary>
    /// <param name="moments">What was gathered, the control included.</param>
    /// <param name="lambda">The penalty of the map that this is the control of.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: no control was gathered, or no two documents to derange.</exception>
    public static RidgeFit FitShuffled(MomentAccumulator moments, double lambda)
    {
        var watch = Stopwatch.StartNew();
        var fit = FitMoments(moments);
        if (moments.Control() is not { Rows: > 1 } control)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, "fit.shuffled_control: needs at least two documents with rows outside the held-out fold");
        }

        using var scope = NewDisposeScope();
        var (meanX, meanY) = (Spectrum.Vector(control.SumX).div_(control.Rows), Spectrum.Vector(control.SumY).div_(control.Rows));
        var cross = Spectrum.Centred(control.Xy, meanX, meanY, control.Rows); // [ds, dt]
        cross.mul_((double)fit.Rows / control.Rows); // rows without a partner count as the others on average
        return Solve(moments, fit, cross, meanY, Checked(lambda), watch);
    }

    /// <summary>
    /// The error of each of <see cref="Lambdas"/>: every fold but the held-out one is predicted from the others, all from
    /// moments alone.
    /// </summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: fewer than two folds have rows beside the held-out one.</exception>
    public static IReadOnlyList<LambdaScore> CrossValidate(MomentAccumulator moments) => CrossValidate(moments, FitMoments(moments));

    /// <summary>Memory in bytes that a fit takes beside the accumulator, at its peak.</summary>
    internal static long BytesNeeded(int sourceWidth, int targetWidth)
    {
        Int128 ds = sourceWidth;
        Int128 dt = targetWidth;
        // Summed moments and those with a fold subtracted; then in torch the fold's moments about the fit's means with a
        // temporary each, Σxx and its basis with eigh's workspace, and products in that basis.
        var moments = (ds * ds) + (ds * dt) + (dt * dt);
        return (long)Int128.Min(long.MaxValue / 2, ((4 * moments) + (6 * ds * ds) + (2 * ds * dt)) * sizeof(double));
    }

    private static IReadOnlyList<LambdaScore> CrossValidate(MomentAccumulator moments, PairMoments fit)
    {
        var errors = new double[Lambdas.Count];
        var rows = 0L;
        for (var fold = 0; fold < moments.HeldOutFold; fold++)
        {
            var validation = moments.Fold(fold);
            if (validation.Rows == 0 || fit.Rows - validation.Rows < 2)
            {
                continue;
            }

            var train = fit.Clone();
            train.Subtract(validation);
            using var scope = NewDisposeScope();
            var (meanX, meanY) = (Spectrum.Vector(train.SumX).div_(train.Rows), Spectrum.Vector(train.SumY).div_(train.Rows));
            var spectrum = new Spectrum(train, Spectrum.Centred(train.Xy, meanX, meanY, train.Rows), meanY);
            var residual = spectrum.Residual(validation);
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

    private static PairMoments FitMoments(MomentAccumulator moments)
    {
        var fit = moments.Fold(0).Clone();
        for (var fold = 1; fold < moments.HeldOutFold; fold++)
        {
            fit.Add(moments.Fold(fold));
        }

        if (fit.Rows < 2)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, $"documents: a fit needs at least 2 paired rows outside the held-out fold, not {fit.Rows}");
        }

        if (moments.Fold(moments.HeldOutFold).Rows == 0)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, "documents: the held-out fold has no rows to measure the map on; give at least as many documents as folds");
        }

        return fit;
    }

    private static double Checked(double lambda) => double.IsFinite(lambda) && lambda >= 0
        ? lambda
        : throw LrtMeshException.Invalid("fit.lambda", $"must be a finite number of at least 0, not {lambda}");

    private static RidgeFit Solve(MomentAccumulator moments, PairMoments fit, Tensor cross, Tensor meanY, double lambda, Stopwatch watch)
    {
        var spectrum = new Spectrum(fit, cross, meanY);
        var map = spectrum.Map(lambda); // [dt, ds]
        var heldOut = moments.Fold(moments.HeldOutFold);

        // b from the means about the origins: y = ȳ + A(x − x̄).
        var originX = tensor(fit.OriginX).to(ScalarType.Float64);
        var originY = tensor(fit.OriginY).to(ScalarType.Float64);
        var bias = meanY.add(originY).sub_(map.mv(spectrum.MeanX.add(originX))); // [dt]

        var residual = spectrum.Residual(heldOut)(lambda);
        var heldOutMean = Spectrum.Vector(heldOut.SumY).div_(heldOut.Rows);
        var variance = Spectrum.Centred(heldOut.Yy, heldOutMean, heldOutMean, heldOut.Rows).trace().item<double>();
        return new RidgeFit(
            Copy(map),
            Copy(bias),
            lambda,
            variance > 0 ? 1 - (residual / variance) : 0,
            MeanCosine(moments.Sample, map, bias, meanY.add(originY)),
            fit.Rows,
            heldOut.Rows,
            spectrum.Rank,
            spectrum.ConstantDimensions,
            watch.Elapsed);
    }

    /// <summary>Mean cosine of A·x + b − ȳ with y − ȳ; a row in which either is zero counts as 0.</summary>
    private static double MeanCosine(HeldOutSample sample, Tensor map, Tensor bias, Tensor meanY)
    {
        var x = tensor(sample.X.ToArray(), sample.Rows, map.shape[1]).to(ScalarType.Float64); // [rows, ds]
        var y = tensor(sample.Y.ToArray(), sample.Rows, map.shape[0]).to(ScalarType.Float64).sub_(meanY); // [rows, dt]
        var mapped = x.matmul(map.t()).add_(bias).sub_(meanY); // [rows, dt]
        var norms = mapped.norm(1).mul_(y.norm(1)); // [rows]
        var products = mapped.mul(y).sum(1);
        return where(norms > 0, products.div(norms), zeros_like(norms)).mean().item<double>();
    }

    private static double[] Copy(Tensor values) => MemoryMarshal.Cast<byte, double>(values.contiguous().bytes).ToArray();
}

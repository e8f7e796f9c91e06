using System.Diagnostics;
using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>How a map was fitted.</summary>
public enum FitMethod
{
    /// <summary><see cref="Maps.LeastSquares"/>.</summary>
    LeastSquares,

    /// <summary><see cref="Maps.Ridge"/>.</summary>
    Ridge,

    /// <summary><see cref="Maps.ReducedRank"/>.</summary>
    ReducedRank,

    /// <summary><see cref="Maps.Procrustes"/>.</summary>
    Procrustes,

    /// <summary><see cref="AdamWRecipe"/>.</summary>
    AdamW,
}

/// <summary>A fitted map y ≈ A·x + b and how well it does on the fold that the fit and the choice of λ never saw.</summary>
/// <param name="Method">How it was fitted.</param>
/// <param name="A">[dt, ds], row-major.</param>
/// <param name="B">[dt].</param>
/// <param name="Lambda">The penalty used, relative to the mean variance of the source's dimensions; 0 where there is none.</param>
/// <param name="HeldOut">Its errors on the held-out fold.</param>
/// <param name="Cosine">Mean cosine between mapped and native states about the target's mean, over the held-out sample.</param>
/// <param name="Rows">Rows in the fit.</param>
/// <param name="Rank">Directions of the source that carry anything (its width, unless rows are few or dimensions depend on each
/// other); of a map of reduced rank, its rank.</param>
/// <param name="ConstantDimensions">Dimensions of the source that never vary in the fit; the map ignores them.</param>
/// <param name="SolveTime">Time from the moments to this, the choice of λ included.</param>
public sealed record MapFit(
    FitMethod Method,
    double[] A,
    double[] B,
    double Lambda,
    HeldOutMetrics HeldOut,
    double Cosine,
    long Rows,
    int Rank,
    int ConstantDimensions,
    TimeSpan SolveTime)
{
    /// <summary>Share of the target's variance about its held-out mean that is explained there; 0 where it has none.</summary>
    public double R2 => HeldOut.R2;

    /// <summary>Rows held out.</summary>
    public long HeldOutRows => HeldOut.Rows;

    /// <summary>Steps of an iterative solver; 0 for a closed form.</summary>
    public int Iterations { get; init; }

    /// <summary>False if an iterative solver stopped at its limit, while its objective still fell.</summary>
    public bool Converged { get; init; } = true;

    /// <summary>Whether dimensions were penalized by their own variance.</summary>
    public bool Standardized { get; init; }

    /// <summary>A map that was found from rows and not from moments, measured like the others.</summary>
    /// <param name="moments">Moments of the same rows.</param>
    /// <param name="trained">The map.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: too few rows in the fit or none held out.</exception>
    public static MapFit Of(FoldedMoments moments, AdamWMap trained)
    {
        var fit = moments.Fit();
        using var scope = NewDisposeScope();
        var centred = CentredMoments.Of(fit);
        var covariance = new SourceCovariance(centred, standardize: false);
        var map = CentredMoments.Matrix(trained.A, moments.TargetWidth);
        var bias = CentredMoments.Vector(trained.B);
        var meanY = centred.MeanY.add(tensor(fit.OriginY).to(ScalarType.Float64), Number.One);
        return new MapFit(
            FitMethod.AdamW,
            trained.A,
            trained.B,
            0,
            HeldOutMetrics.Measure(moments.HeldOut, map, bias),
            MeanCosine(moments, map, bias, meanY),
            fit.Rows,
            moments.SourceWidth,
            covariance.ConstantDimensions,
            trained.Time)
        {
            Iterations = trained.Steps,
        };
    }

    /// <summary>The map as it is stored, in float32, with its metrics but for those of the whole job.</summary>
    /// <param name="info">Name, ends and where it came from.</param>
    /// <param name="moments">What it was fitted on.</param>
    public AffineMap ToAffineMap(V1.AffineMap info, FoldedMoments moments)
    {
        var svcca = LayerSimilarity.Svcca(moments.HeldOut);
        var described = info.Clone();
        described.Metrics = new V1.MapMetrics
        {
            Rows = (ulong)Rows,
            HeldOutRows = (ulong)HeldOutRows,
            R2 = R2,
            Cosine = Cosine,
            Lambda = Lambda,
            SolveTime = Duration.FromTimeSpan(SolveTime),
            Solver = Method switch
            {
                FitMethod.LeastSquares => V1.MapSolver.LeastSquares,
                FitMethod.Ridge => V1.MapSolver.Ridge,
                FitMethod.ReducedRank => V1.MapSolver.ReducedRank,
                FitMethod.Procrustes => V1.MapSolver.Procrustes,
                _ => V1.MapSolver.Adamw,
            },
            Standardized = Standardized,
            R2PerDimension = { HeldOut.R2PerDimension.Select(r2 => (float)r2) },
            R2WithoutLargest = HeldOut.R2WithoutLargest,
            LargestDimensions = { HeldOut.LargestDimensions.Select(dimension => (uint)dimension) },
            RelativeError = HeldOut.RelativeError,
            Svcca = svcca.Mean,
            SvccaSourceComponents = (uint)svcca.SourceComponents,
            SvccaTargetComponents = (uint)svcca.TargetComponents,
            Cka = LayerSimilarity.LinearCka(moments.HeldOut),
            ConditionNumber = LayerSimilarity.ConditionNumber(A, moments.TargetWidth),
            SourceConditionNumber = LayerSimilarity.SourceConditionNumber(moments.Fit()),
            Rank = (uint)Rank,
            ConstantDimensions = (uint)ConstantDimensions,
            Iterations = (uint)Iterations,
            Converged = Converged,
        };
        return AffineMap.Create(described, [.. A.Select(a => (float)a)], [.. B.Select(b => (float)b)]).With(SourceRegion.Of(moments));
    }

    /// <summary>Completes a solution: b from the means, y = ȳ + A(x − x̄), and its errors.</summary>
    internal static MapFit Measure(
        FitMethod method, FoldedMoments moments, PairMoments fit, CentredMoments centred, Solution solution, double lambda, Stopwatch watch)
    {
        var meanX = centred.MeanX.add(tensor(fit.OriginX).to(ScalarType.Float64), Number.One);
        var meanY = centred.MeanY.add(tensor(fit.OriginY).to(ScalarType.Float64), Number.One);
        var bias = meanY.sub(solution.Map.mv(meanX)); // [dt]
        return new MapFit(
            method,
            CentredMoments.Copy(solution.Map),
            CentredMoments.Copy(bias),
            lambda,
            HeldOutMetrics.Measure(moments.HeldOut, solution.Map, bias),
            MeanCosine(moments, solution.Map, bias, meanY),
            fit.Rows,
            solution.Rank,
            solution.ConstantDimensions,
            watch.Elapsed)
        {
            Iterations = solution.Iterations,
            Converged = solution.Converged,
        };
    }

    /// <summary>Mean cosine of A·x + b − ȳ with y − ȳ; a row in which either is zero counts as 0.</summary>
    private static double MeanCosine(FoldedMoments moments, Tensor map, Tensor bias, Tensor meanY)
    {
        if (moments.SampleX.Length == 0)
        {
            return 0;
        }

        var x = tensor(moments.SampleX, moments.SampleX.Length / map.shape[1], map.shape[1]).to(ScalarType.Float64); // [rows, ds]
        var y = tensor(moments.SampleY, moments.SampleY.Length / map.shape[0], map.shape[0]).to(ScalarType.Float64).sub_(meanY); // [rows, dt]
        var mapped = x.matmul(map.t()).add_(bias, Number.One).sub_(meanY); // [rows, dt]
        var norms = mapped.norm(1).mul_(y.norm(1)); // [rows]
        var products = mapped.mul(y).sum(1);
        return where(norms.gt(Number.Of(0)), products.div(norms), zeros_like(norms)).mean().item<double>();
    }
}

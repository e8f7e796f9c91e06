using LrtMesh.Core.Maps;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>Fits a map as a request asks.</summary>
internal static class MapSolving
{
    private const int Seed = 1;

    /// <summary>Fits a map on a pair's moments.</summary>
    /// <param name="moments">What was gathered.</param>
    /// <param name="fit">How, checked.</param>
    /// <param name="rows">The fit's rows, where the solver needs them.</param>
    /// <exception cref="Core.LrtMeshException">FailedPrecondition: too few rows; InvalidArgument: a rank beyond the widths.</exception>
    public static MapFit Solve(FoldedMoments moments, FitOptions fit, TrainingRows? rows) => fit.Solver switch
    {
        MapSolver.LeastSquares => LeastSquares.Fit(moments),
        MapSolver.Procrustes => Procrustes.Fit(moments),
        MapSolver.ReducedRank when fit.Rank > 0 => ReducedRank.Fit(moments, (int)fit.Rank, fit.Lambda, fit.Standardize) with { Standardized = fit.Standardize },
        MapSolver.ReducedRank => ReducedRank.FitKeeping(moments, fit.KeptVariance, fit.Lambda, fit.Standardize) with { Standardized = fit.Standardize },
        MapSolver.Adamw => Train(moments, fit, rows!),
        _ => Ridge.Fit(moments, fit.HasLambda ? fit.Lambda : null, fit.Standardize) with { Standardized = fit.Standardize },
    };

    /// <summary>Fits the control of a map: of its penalty, on rows of different documents.</summary>
    public static MapFit SolveShuffled(FoldedMoments moments, MapFit map) =>
        Ridge.FitShuffled(moments, map.Lambda, map.Standardized) with { Standardized = map.Standardized };

    private static MapFit Train(FoldedMoments moments, FitOptions fit, TrainingRows rows)
    {
        using var recipe = new AdamWRecipe(rows.X, rows.Y, moments.SourceWidth, moments.TargetWidth);
        return MapFit.Of(moments, recipe.Train(fit.LearningRate > 0 ? fit.LearningRate : AdamWRecipe.BaseLearningRate, Seed));
    }
}

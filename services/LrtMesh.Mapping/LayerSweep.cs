using LrtMesh.Core.Maps;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>How well each source layer of a sweep maps to each target layer, and which pair to take.</summary>
internal static class LayerSweep
{
    /// <summary>
    /// Steering acts in the middle of a model: before it layers still hold the tokens themselves, which map best and steer least, and after it
    /// they hold the next token.
    /// </summary>
    private const double Shallowest = 1.0 / 3;
    private const double Deepest = 5.0 / 6;

    /// <summary>The rule, in words.</summary>
    public const string Rule =
        "the largest held-out R2 (without the target's largest dimensions) among pairs whose layers both lie between 1/3 and 5/6 of their models' depths, or among all if none do";

    /// <summary>Measures every pair.</summary>
    /// <param name="plan">A sweep's plan.</param>
    /// <param name="models">The model of each layer.</param>
    /// <param name="gathered">What was gathered.</param>
    /// <param name="fit">How to fit.</param>
    /// <param name="cancellation">Ends it between two pairs.</param>
    public static SweepResult Measure(MapPlan plan, IReadOnlyList<LocatedModel> models, Gathered gathered, FitOptions fit, CancellationToken cancellation)
    {
        var result = new SweepResult { Rule = Rule, DataDigest = gathered.DataDigest };
        for (var pair = 0; pair < plan.Pairs.Count; pair++)
        {
            cancellation.ThrowIfCancellationRequested();
            var (x, y) = plan.Pairs[pair];
            var moments = gathered.Moments.Pair(pair);
            var map = MapSolving.Solve(moments, fit, rows: null);
            result.Cells.Add(new SweepCell
            {
                SourceLayer = plan.Layers[x].Layer.Layer,
                TargetLayer = plan.Layers[y].Layer.Layer,
                R2 = map.R2,
                R2WithoutLargest = map.HeldOut.R2WithoutLargest,
                Cosine = map.Cosine,
                Lambda = map.Lambda,
                Cka = LayerSimilarity.LinearCka(moments.HeldOut),
            });
            (result.Rows, result.HeldOutRows) = ((ulong)map.Rows, (ulong)map.HeldOutRows);
        }

        var (source, target) = (models[plan.Pairs[0].X].Model, models[plan.Pairs[0].Y].Model);
        (result.SourceDigest, result.SourceDepth) = (source.Digest, source.Layers);
        (result.TargetDigest, result.TargetDepth) = (target.Digest, target.Layers);
        var middle = result.Cells.Where(cell => IsMiddle(cell.SourceLayer, source) && IsMiddle(cell.TargetLayer, target)).ToArray();
        var best = (middle.Length > 0 ? middle : [.. result.Cells]).MaxBy(cell => cell.R2WithoutLargest)!;
        (result.RecommendedSourceLayer, result.RecommendedTargetLayer) = (best.SourceLayer, best.TargetLayer);
        return result;
    }

    private static bool IsMiddle(uint layer, Model model) => (layer + 1.0) / model.Layers is >= Shallowest and <= Deepest;
}

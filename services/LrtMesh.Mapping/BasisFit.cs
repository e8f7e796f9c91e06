using LrtMesh.Core;
using LrtMesh.Core.Maps;
using LrtMesh.Core.Store;
using LrtMesh.V1;
using SharedBasis = LrtMesh.Core.Maps.SharedBasis;

namespace LrtMesh.Mapping;

/// <summary>Fits a basis that several models share, or adds a model to one, and measures the maps through it beside direct ones.</summary>
internal static class BasisFit
{
    /// <summary>Penalty where a request gives none, relative to the mean variance of each model's dimensions.</summary>
    public const double DefaultLambda = 1e-3;

    /// <summary>Fits or adds.</summary>
    /// <param name="request">What is asked for.</param>
    /// <param name="before">The basis that a model is added to; null to fit one.</param>
    /// <param name="plan">The models' layers: of a basis that is added to, those of its founders and then the new one.</param>
    /// <param name="models">The model of each layer.</param>
    /// <param name="gathered">What was gathered, with every pair that the fit needs.</param>
    /// <param name="cancellation">Ends it between two measurements.</param>
    public static StoredBasis Fit(
        BasisRequest request, StoredBasis? before, MapPlan plan, IReadOnlyList<LocatedModel> models, Gathered gathered, CancellationToken cancellation)
    {
        var moments = gathered.Moments.Fit();
        var basis = before?.Basis.Add(moments) ?? SharedBasis.Fit(moments, (int)request.Rank, request.HasLambda ? request.Lambda : DefaultLambda);
        var info = before?.Info.Clone() ?? new V1.SharedBasis { Name = request.Name, DataDigest = gathered.DataDigest, Rows = (ulong)moments.Rows };
        (info.Rank, info.Lambda) = ((uint)basis.Rank, basis.Lambda);
        info.Agreement.Clear();
        info.Agreement.Add(basis.Agreement);
        for (var i = before is null ? 0 : plan.Layers.Count - 1; i < plan.Layers.Count; i++)
        {
            info.Models.Add(new V1.BasisModel
            {
                Layer = plan.Layers[i].Layer,
                Digest = models[i].Model.Digest,
                Width = models[i].Model.Width,
                Founder = before is null,
                DataDigest = gathered.DataDigest,
            });
        }

        for (var pair = 0; pair < plan.Pairs.Count; pair++)
        {
            cancellation.ThrowIfCancellationRequested();
            var (x, y) = plan.Pairs[pair];
            if (before is null || y == plan.Layers.Count - 1)
            {
                var rows = gathered.Moments.Pair(pair);
                info.Pairs.Add(Measured(info, basis, plan.Layers[x].Layer, plan.Layers[y].Layer, rows));
                info.Pairs.Add(Measured(info, basis, plan.Layers[y].Layer, plan.Layers[x].Layer, rows.Transposed()));
            }
        }

        return StoredBasis.Create(info, basis);
    }

    private static BasisPair Measured(V1.SharedBasis info, SharedBasis basis, LayerRef source, LayerRef target, FoldedMoments moments)
    {
        var (a, b) = basis.Between(IndexOf(info, source), IndexOf(info, target));
        return new BasisPair
        {
            Source = source,
            Target = target,
            R2Through = HeldOutMetrics.Measure(moments.HeldOut, a, b).R2,
            R2Direct = Ridge.Fit(moments).R2,
        };
    }

    private static int IndexOf(V1.SharedBasis info, LayerRef layer) => info.Models.ToList().FindIndex(model => model.Layer.Equals(layer));
}

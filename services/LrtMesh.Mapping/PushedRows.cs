using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Maps;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using AffineMap = LrtMesh.Core.Maps.AffineMap;
using Part = LrtMesh.V1.PushRowsRequest.PartOneofCase;

namespace LrtMesh.Mapping;

/// <summary>
/// Fits a map from rows that a client pushes. A message is added to the moments before the next is read, so that a client that is
/// faster than the products waits in its own writes. The fit lives as long as the call.
/// </summary>
/// <param name="memory">What moments are taken from.</param>
internal sealed class PushedRows(CallMemory memory)
{
    /// <summary>Takes the rows of a call, to its end, and fits.</summary>
    /// <returns>The maps, each control after its map, and the rows left out.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument, naming what is wrong; ResourceExhausted: the moments do not fit; FailedPrecondition: too few rows.</exception>
    public async Task<(List<AffineMap> Maps, long Refused)> FitAsync(IAsyncStreamReader<PushRowsRequest> requests, CancellationToken cancellation)
    {
        if (!await requests.MoveNext(cancellation) || requests.Current.PartCase != Part.Spec)
        {
            throw LrtMeshException.Invalid("spec", "must be the first message of the stream");
        }

        var began = DateTime.UtcNow;
        var spec = requests.Current.Spec;
        var fit = spec.Fit ?? new FitOptions();
        MapRequest.Check(spec);
        var (ds, dt) = ((int)spec.SourceWidth, (int)spec.TargetWidth);
        using var share = memory.Begin();
        share.Take(MomentAccumulator.BytesNeeded(ds, dt, Gathered.FoldsOf(fit), fit.ShuffledControl), $"moments of widths {ds} and {dt}", "spec.source_width");
        return await FitAsync(requests, spec, fit, began, cancellation);
    }

    private static async Task<(List<AffineMap> Maps, long Refused)> FitAsync(
        IAsyncStreamReader<PushRowsRequest> requests, PushRowsSpec spec, FitOptions fit, DateTime began, CancellationToken cancellation)
    {
        var (ds, dt) = ((int)spec.SourceWidth, (int)spec.TargetWidth);
        var moments = new MomentAccumulator(ds, dt, Gathered.FoldsOf(fit), fit.ShuffledControl);
        using var digest = new ContentDigest();
        while (await requests.MoveNext(cancellation))
        {
            if (requests.Current.PartCase != Part.Rows)
            {
                throw LrtMeshException.Invalid("rows", "must be every message after the first");
            }

            var pushed = requests.Current.Rows;
            var x = TensorCodec.DecodeRows(pushed.Source, ds, "rows.source", TensorCodec.MaximumInlineBytes / sizeof(float));
            var y = TensorCodec.DecodeRows(pushed.Target, dt, "rows.target", TensorCodec.MaximumInlineBytes / sizeof(float));
            if (x.Length / ds != y.Length / dt)
            {
                throw LrtMeshException.Invalid("rows.target.header.shape", $"must have as many rows as the source, {x.Length / ds}, not {y.Length / dt}");
            }

            var (rows, refused) = (moments.Rows, moments.RefusedRows);
            moments.AddFinite((int)(pushed.Document % (ulong)moments.Folds), x, y);
            FitMetrics.Gathered(moments.Rows - rows, moments.RefusedRows - refused);
            digest.Add((long)pushed.Document).Add(x).Add(y);
        }

        var data = digest.Finish();
        var maps = new List<AffineMap>();
        MapFit? last = null;
        foreach (var planned in MapPlan.NamesOf(spec.Map, fit))
        {
            var pair = planned.Back ? moments.Pair().Transposed() : moments.Pair();
            last = planned.Shuffled ? MapSolving.SolveShuffled(pair, last!) : MapSolving.Solve(pair, fit, rows: null);
            var (source, target) = planned.Back ? (spec.Target, spec.Source) : (spec.Source, spec.Target);
            var (from, to) = planned.Back ? (spec.TargetDigest, spec.SourceDigest) : (spec.SourceDigest, spec.TargetDigest);
            var map = last.ToAffineMap(
                new V1.AffineMap { Name = planned.Name, Source = source, Target = target, SourceDigest = from, TargetDigest = to, Shuffled = planned.Shuffled, DataDigest = data }, pair);
            map.Info.Metrics.FitTime = Duration.FromTimeSpan(DateTime.UtcNow - began);
            FitMetrics.Fitted(map.Info);
            maps.Add(map);
        }

        return (maps, moments.RefusedRows);
    }
}

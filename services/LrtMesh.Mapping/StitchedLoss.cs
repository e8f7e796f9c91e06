using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using AffineMap = LrtMesh.Core.Maps.AffineMap;

namespace LrtMesh.Mapping;

/// <summary>
/// Stitched cross-entropy: the target model run on, from a map's layer, from what the map makes of the source's states, and how well it then
/// predicts the next token of held-out text; beside the same from its own states, and from their mean.
/// </summary>
/// <remarks>Every arm replaces the same positions and is scored at them alone, so that the arms differ in nothing else.</remarks>
internal sealed class StitchedLoss(MapPlan plan, IReadOnlyList<LocatedModel> models, bool sameTokens)
{
    /// <summary>Tokens of held-out text at most: what needs rows uses a bounded sample.</summary>
    public const int MaxTokens = 4096;

    private const int MaxDocuments = 64;

    /// <summary>The held-out documents that are measured on: the first ones, up to <see cref="MaxTokens"/> or so.</summary>
    public static async Task<IReadOnlyList<Document>> SampleAsync(DocumentSource source, int folds, CancellationToken cancellation)
    {
        var (sample, index) = (new List<Document>(), 0L);
        await foreach (var (documents, _) in source.ReadAsync(skip: 0, "", cancellation))
        {
            foreach (var document in documents)
            {
                if (index++ % folds == folds - 1)
                {
                    sample.Add(document);
                }
            }

            if (sample.Count >= MaxDocuments)
            {
                break;
            }
        }

        return [.. sample.Take(MaxDocuments)];
    }

    /// <summary>Measures a map.</summary>
    /// <param name="map">The map, or its control.</param>
    /// <param name="x">Its source, an index into the plan's layers.</param>
    /// <param name="y">Its target.</param>
    /// <param name="mean">Mean of the target's states over the fit, [target width].</param>
    /// <param name="documents">What to measure on.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: no held-out text. Unavailable: an endpoint.</exception>
    public async Task<V1.StitchedLoss> MeasureAsync(AffineMap map, int x, int y, float[] mean, IReadOnlyList<Document> documents, CancellationToken cancellation)
    {
        var width = map.B.Length;
        var most = TensorCodec.MaximumInlineBytes / sizeof(float) / width; // rows of one message
        var loss = new V1.StitchedLoss();
        using var source = await StateStream.OpenAsync(models[x], [plan.Layers[x].Layer.Layer], cancellation);
        using var target = await StateStream.OpenAsync(models[y], [plan.Layers[y].Layer.Layer], cancellation);
        using var run = models[y].Client.RunOn(cancellationToken: cancellation);
        try
        {
            await AskAsync(new() { Spec = new RunOnSpec { Model = models[y].Model.Name, Layer = plan.Layers[y].Layer.Layer } });
            foreach (var document in documents)
            {
                var readings = await Task.WhenAll(source.ReadAsync([document]), target.ReadAsync([document]));
                var rows = RowPairing.Of([readings[0][0], readings[1][0]], sameTokens, 0).Rows;
                var tokens = readings[1][0].TokenIds;
                var kept = Enumerable.Range(0, Math.Min(most, rows[1].Length)).Where(i => rows[1][i] < tokens.Length - 1).ToArray();
                if (kept.Length == 0)
                {
                    continue;
                }

                var sequence = new RunOnSequence { TokenIds = { tokens }, Positions = { kept.Select(i => (uint)rows[1][i]) } };
                var mapped = map.ApplyRows(Gathered.Select(readings[0][0].Layers[0], [.. kept.Select(i => rows[0][i])], map.A.Length / width).Span, addBias: true);
                var means = Enumerable.Range(0, kept.Length).SelectMany(_ => mean).ToArray();
                loss.Stitched += await SumAsync(mapped);
                loss.MeanAblated += await SumAsync(means);
                loss.Native += await SumAsync(null);
                loss.Tokens += (ulong)kept.Length;
                if (loss.Tokens >= MaxTokens)
                {
                    break;
                }

                async Task<double> SumAsync(float[]? states)
                {
                    var request = sequence.Clone();
                    if (states is null)
                    {
                        request.Positions.Clear();
                    }
                    else
                    {
                        request.States = TensorCodec.Encode(states, kept.Length, width);
                    }

                    var losses = (await AskAsync(new() { Sequence = request })).Losses.Losses;
                    return sequence.Positions.Sum(position => losses[(int)position]);
                }
            }
        }
        catch (RpcException e)
        {
            cancellation.ThrowIfCancellationRequested();
            throw new LrtMeshException(
                e.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded ? ErrorReason.Unavailable : ErrorReason.FailedPrecondition,
                $"running {models[y].Model.Name} on: {e.StatusCode}: {e.Status.Detail}",
                e);
        }

        if (loss.Tokens == 0)
        {
            throw LrtMeshException.Mismatch("fit.stitched_loss", "there is no held-out text of two tokens or more to measure on");
        }

        (loss.Native, loss.MeanAblated, loss.Stitched) = (loss.Native / loss.Tokens, loss.MeanAblated / loss.Tokens, loss.Stitched / loss.Tokens);
        return loss;

        async Task<RunOnResponse> AskAsync(RunOnRequest request)
        {
            try
            {
                await run.RequestStream.WriteAsync(request, cancellation);
            }
            catch (Exception e) when (e is RpcException or InvalidOperationException or IOException)
            {
                // The call has ended, and the reading side says why.
            }

            return await run.ResponseStream.MoveNext(cancellation)
                ? run.ResponseStream.Current
                : throw new LrtMeshException(ErrorReason.DataLoss, $"the endpoint of {models[y].Model.Name} ended the stream of a run-on");
        }
    }
}

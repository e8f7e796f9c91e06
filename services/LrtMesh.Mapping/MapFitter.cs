using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.Core.Telemetry;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;
using AffineMap = LrtMesh.Core.Maps.AffineMap;

namespace LrtMesh.Mapping;

/// <summary>Does what one job asks for: reads documents in its models, keeps their moments alone, and solves.</summary>
internal sealed class MapFitter(ModelEndpoints endpoints, MappingOptions options, FitThread thread, ILogger<MapFitter> logger)
{
    /// <summary>Runs a job to its end.</summary>
    /// <exception cref="LrtMeshException">What went wrong, for the job's error; Unavailable: to be tried again.</exception>
    /// <exception cref="OperationCanceledException">The job is this worker's no more.</exception>
    /// <remarks>
    /// 1. Read the request and find the models. 2. Go on from the moments last saved. 3. Read in all models, a batch of documents at
    /// a time, and save now and then. 4. Solve. 5. Store the maps, and then say so.
    /// </remarks>
    public async Task FitAsync(HeldJob held)
    {
        // 1.
        var request = await RequestAsync(held);
        var fit = request.Fit ?? new FitOptions();
        var basis = request.Basis is { Add: true } ? await held.Store.Bases.GetAsync(request.Basis.Name, held.Ended) : null;
        var plan = MapPlan.Of(request, basis?.Info);
        var models = await endpoints.FindAsync(plan.Layers, held.Ended);
        MapRequest.CheckSizes(plan, models, fit, options.MomentMemory);

        // 2.
        var gathered = await LoadAsync(held, plan, models, fit) ?? Gathered.Begin(plan, models, fit, options.MomentMemory);

        // 3.
        using (var span = Spans.Source.StartActivity("moments"))
        {
            if (request.MomentsOf.Count > 0)
            {
                await MergeAsync(request, plan, models, fit, gathered, held);
            }
            else
            {
                await ReadAsync(request, plan, models, gathered, held);
            }

            if (request.KeepMoments)
            {
                await held.SaveAsync(gathered);
            }

            span?.SetTag("lrtmesh.moments.rows", gathered.Moments.Rows);
        }

        // 4. and 5.
        using var fitting = Spans.Source.StartActivity("map fit");
        await held.SolvingAsync(gathered);
        if (request.Sweep is not null)
        {
            var sweep = await thread.RunAsync(() => LayerSweep.Measure(plan, models, gathered, fit, held.Ended));
            await held.UpdateAsync(job => Succeed(job).Sweep = sweep);
        }
        else if (request.Basis is not null)
        {
            var fitted = await thread.RunAsync(() => BasisFit.Fit(request.Basis, basis, plan, models, gathered, held.Ended));
            await held.UpdateAsync(job => job.State = JobState.Storing);
            var stored = await held.Store.Bases.PutAsync(fitted, held.Ended);
            await held.UpdateAsync(job => Succeed(job).Basis = stored.Info);
        }
        else
        {
            var maps = await thread.RunAsync(() => Solve(held, plan, models, fit, gathered));
            if (fit.StitchedLoss)
            {
                await StitchAsync(request, plan, models, gathered, maps, held.Ended);
            }

            await held.UpdateAsync(job => job.State = JobState.Storing);
            await StoreAsync(maps, held);
        }

        if (!request.KeepMoments)
        {
            await held.Store.Jobs.Files.DeleteAsync(held.Job.Id, JobFiles.Moments, CancellationToken.None);
        }

        JobMetrics.Ended(held.Job);
        MappingLog.Fitted(logger, held.Job.Id, gathered.Moments.Rows, held.Job.Attempts);
    }

    private static MapJob Succeed(MapJob job)
    {
        job.State = JobState.Succeeded;
        job.Error = "";
        job.TimeLeft = null;
        return job;
    }

    private static async Task StoreAsync(List<AffineMap> maps, HeldJob held)
    {
        var stored = new List<V1.AffineMap>();
        foreach (var map in Enumerable.Reverse(maps))
        {
            // Controls before their maps: who sees a map finds its control.
            stored.Insert(0, (await held.Store.Maps.PutAsync(map, held.Ended)).Info);
        }

        await held.UpdateAsync(job =>
        {
            Succeed(job).Result = stored[0];
            job.Maps.Add(stored.Select(WithoutDimensions));
        });
    }

    /// <summary>Measures each map by running its target on from what it makes of held-out text.</summary>
    private async Task StitchAsync(
        CreateMapJobRequest request, MapPlan plan, IReadOnlyList<LocatedModel> models, Gathered gathered, List<AffineMap> maps, CancellationToken cancellation)
    {
        var documents = await StitchedLoss.SampleAsync(new DocumentSource(request, options), gathered.Moments.Folds, cancellation);
        var stitched = new StitchedLoss(plan, models, gathered.SameTokens);
        foreach (var (planned, map) in plan.Maps.Zip(maps))
        {
            var (x, y) = plan.Pairs[planned.Pair];
            var fit = gathered.Moments.Pair(planned.Pair).Fit();
            if (planned.Back)
            {
                (x, y, fit) = (y, x, fit.Transposed());
            }

            var mean = fit.OriginY.Select((origin, i) => (float)(origin + (fit.SumY[i] / fit.Rows))).ToArray();
            map.Info.Metrics.StitchedLoss = await stitched.MeasureAsync(map, x, y, mean, documents, cancellation);
        }
    }

    private static async Task<CreateMapJobRequest> RequestAsync(HeldJob held)
    {
        await using var content = await held.Store.Jobs.Files.ReadAsync(held.Job.Id, JobFiles.Request, held.Ended)
            ?? throw new LrtMeshException(ErrorReason.DataLoss, "the job's request is gone from the store");
        return CreateMapJobRequest.Parser.ParseFrom(content);
    }

    private static async Task<Gathered?> LoadAsync(HeldJob held, MapPlan plan, IReadOnlyList<LocatedModel> models, FitOptions fit)
    {
        await using var content = await held.Store.Jobs.Files.ReadAsync(held.Job.Id, JobFiles.Moments, held.Ended);
        return content is null ? null : Gathered.Load(content, plan, models, fit, "the moments that this job saved");
    }

    private static async Task MergeAsync(
        CreateMapJobRequest request, MapPlan plan, IReadOnlyList<LocatedModel> models, FitOptions fit, Gathered gathered, HeldJob held)
    {
        for (var i = 0; i < request.MomentsOf.Count; i++)
        {
            var field = $"moments_of[{i}]";
            await using var content = await held.Store.Jobs.Files.ReadAsync(request.MomentsOf[i], JobFiles.Moments, held.Ended)
                ?? throw LrtMeshException.NotFound(field, $"job {request.MomentsOf[i]} has no moments: it must have succeeded, with keep_moments, less than 7 days ago");
            var job = await held.Store.Jobs.GetAsync(request.MomentsOf[i], held.Ended);
            if (job.State != JobState.Succeeded)
            {
                throw LrtMeshException.Mismatch(field, $"job {job.Id} is {job.State}; its moments are whole once it has succeeded");
            }

            gathered.Add(Gathered.Load(content, plan, models, fit, field));
        }
    }

    private async Task ReadAsync(CreateMapJobRequest request, MapPlan plan, IReadOnlyList<LocatedModel> models, Gathered gathered, HeldJob held)
    {
        var streams = new List<StateStream>();
        try
        {
            foreach (var model in plan.Models)
            {
                var located = models[plan.Layers.ToList().FindIndex(layer => layer.Layer.Model == model)];
                streams.Add(await StateStream.OpenAsync(located, plan.LayersOf(model), held.Ended));
            }

            var source = new DocumentSource(request, options);
            await foreach (var (batch, progress) in source.ReadAsync(gathered.Documents, gathered.DataDigest, held.Ended))
            {
                await held.ReportAsync(progress, gathered);
                var readings = await ReadAsync(streams, batch, gathered.Documents);
                await thread.RunAsync(() => gathered.Add(batch, plan, readings));
                if (held.IsSaveDue && gathered.Rows is null)
                {
                    await held.SaveAsync(gathered);
                }
            }
        }
        finally
        {
            streams.ForEach(stream => stream.Dispose());
        }
    }

    /// <summary>Reads a batch in all models. What an endpoint refuses, it names by its place in the batch.</summary>
    private static async Task<IReadOnlyList<TextStates>[]> ReadAsync(List<StateStream> streams, IReadOnlyList<Document> batch, long before)
    {
        try
        {
            return await Task.WhenAll(streams.Select(stream => stream.ReadAsync(batch)));
        }
        catch (LrtMeshException e)
        {
            throw new LrtMeshException(e.Reason, $"documents {before} to {before + batch.Count - 1}: {e.Message}", e);
        }
    }

    private static List<AffineMap> Solve(HeldJob held, MapPlan plan, IReadOnlyList<LocatedModel> models, FitOptions fit, Gathered gathered)
    {
        var maps = new List<AffineMap>();
        Core.Maps.MapFit? last = null;
        foreach (var planned in plan.Maps)
        {
            held.Ended.ThrowIfCancellationRequested();
            var (x, y) = plan.Pairs[planned.Pair];
            var moments = gathered.Moments.Pair(planned.Pair);
            if (planned.Back)
            {
                (x, y, moments) = (y, x, moments.Transposed());
            }

            last = planned.Shuffled ? MapSolving.SolveShuffled(moments, last!) : MapSolving.Solve(moments, fit, gathered.Rows);
            var map = last.ToAffineMap(
                new V1.AffineMap
                {
                    Name = planned.Name,
                    Source = plan.Layers[x].Layer,
                    Target = plan.Layers[y].Layer,
                    SourceDigest = models[x].Model.Digest,
                    TargetDigest = models[y].Model.Digest,
                    Shuffled = planned.Shuffled,
                    DataDigest = gathered.DataDigest,
                },
                moments);
            map.Info.Metrics.FitTime = Duration.FromTimeSpan(DateTime.UtcNow - held.Job.CreatedAt.ToDateTime());
            map.Info.Metrics.SourceTokens = (ulong)gathered.Tokens[plan.Layers[x].Layer.Model];
            map.Info.Metrics.TargetTokens = (ulong)gathered.Tokens[plan.Layers[y].Layer.Model];
            map.Info.Metrics.PairedTokens = (ulong)gathered.PairedTokens;
            map.Info.Metrics.LeftOutMessages = (ulong)gathered.LeftOutMessages;
            map.Info.Metrics.Window = Math.Max(1, fit.Window);
            FitMetrics.Fitted(map.Info);
            maps.Add(map);
        }

        return maps;
    }

    private static V1.AffineMap WithoutDimensions(V1.AffineMap map)
    {
        var brief = map.Clone();
        brief.Metrics.R2PerDimension.Clear();
        return brief;
    }
}

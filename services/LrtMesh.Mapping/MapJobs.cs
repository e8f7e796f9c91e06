using System.Collections.Concurrent;
using System.Threading.Channels;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;
using AffineMap = LrtMesh.Core.Maps.AffineMap;

namespace LrtMesh.Mapping;

/// <summary>
/// Runs map jobs one at a time. A job's state is in the store and its documents are in memory, so a restart fails the jobs that had
/// not ended.
/// </summary>
public sealed class MapJobs(StoreConnection connection, MapFitter fitter, ILogger<MapJobs> logger) : BackgroundService
{
    private const int MaxWaiting = 32;
    private const string Interrupted = "interrupted by a restart; create it again";
    private static readonly TimeSpan LastWrite = TimeSpan.FromSeconds(2);

    private readonly Channel<string> _queue = Channel.CreateUnbounded<string>(); // bounded by MaxWaiting
    private readonly ConcurrentDictionary<string, CreateMapJobRequest> _requests = new();
    private readonly ConcurrentDictionary<string, CancellationTokenSource> _running = new();
    private readonly SemaphoreSlim _ending = new(1); // a cancellation falls before the map is stored or after the job has succeeded

    private JobStore Store => connection.Store.Jobs;

    /// <summary>Creates a job, or finds the one that the same request id created before.</summary>
    /// <param name="request">The request, checked.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="LrtMeshException">ResourceExhausted: too many jobs wait; Unavailable: the store.</exception>
    public async Task<MapJob> CreateAsync(CreateMapJobRequest request, CancellationToken cancellation)
    {
        if (_requests.Count >= MaxWaiting)
        {
            throw new LrtMeshException(ErrorReason.ResourceExhausted, $"{MaxWaiting} jobs are waiting; try again when one has ended")
            {
                RetryAfter = TimeSpan.FromSeconds(10),
            };
        }

        var job = new MapJob
        {
            Map = request.Map,
            Source = request.Source,
            Target = request.Target,
            State = JobState.Pending,
            DocumentsTotal = (ulong)request.Documents.Count,
        };
        job = await Store.CreateAsync(job, request.RequestId, cancellation);
        if (!JobStore.HasEnded(job) && _requests.TryAdd(job.Id, request))
        {
            await _queue.Writer.WriteAsync(job.Id, CancellationToken.None); // it exists now, whoever waits
        }

        return job;
    }

    /// <summary>Cancels a job that has not ended.</summary>
    /// <returns>The job as it stands.</returns>
    public async Task<MapJob> CancelAsync(string id, CancellationToken cancellation)
    {
        await _ending.WaitAsync(cancellation);
        try
        {
            var job = await EndAsync(id, JobState.Cancelled, "", cancellation);
            if (_running.TryGetValue(id, out var running))
            {
                await running.CancelAsync();
            }

            return job;
        }
        finally
        {
            _ending.Release();
        }
    }

    /// <summary>Fails the jobs of a process that is gone.</summary>
    public async Task FailInterruptedAsync(CancellationToken cancellation)
    {
        var token = "";
        do
        {
            var page = await Store.ListAsync(pageSize: 1000, token, cancellation);
            foreach (var job in page.Items.Where(job => !JobStore.HasEnded(job)))
            {
                await EndAsync(job.Id, JobState.Failed, Interrupted, cancellation);
                MappingLog.Ended(logger, job.Id, Interrupted);
            }

            token = page.NextToken;
        }
        while (token.Length > 0);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _ending.Dispose();
        base.Dispose();
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            await foreach (var id in _queue.Reader.ReadAllAsync(stoppingToken))
            {
                await RunAsync(id, stoppingToken);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            foreach (var id in _requests.Keys)
            {
                await RecordFailureAsync(id, Interrupted);
            }
        }
    }

    private async Task RunAsync(string id, CancellationToken stopping)
    {
        using var cancel = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        _running[id] = cancel;
        try
        {
            var maps = await fitter.FitAsync(_requests[id], (state, documents, rows) => ReportAsync(id, state, documents, rows, cancel), cancel.Token);
            await StoreAsync(id, maps, cancel.Token);
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested)
        {
            stopping.ThrowIfCancellationRequested();
            MappingLog.Ended(logger, id, "cancelled");
        }
        catch (LrtMeshException e)
        {
            MappingLog.Ended(logger, id, e.Message);
            await RecordFailureAsync(id, e.Message);
        }
        catch (Exception e)
        {
            MappingLog.Failed(logger, e, id);
            await RecordFailureAsync(id, "an internal error; the server's log has it under this job's id");
        }
        finally
        {
            _running.TryRemove(id, out _);
            if (!stopping.IsCancellationRequested)
            {
                _requests.TryRemove(id, out _);
            }
        }
    }

    /// <summary>Records progress; finds out that the job was cancelled, before it ran or by another process.</summary>
    private async Task ReportAsync(string id, JobState state, int documents, long rows, CancellationTokenSource cancel)
    {
        var job = await Store.UpdateAsync(
            id,
            job =>
            {
                if (JobStore.HasEnded(job))
                {
                    return null;
                }

                job.State = state;
                job.DocumentsDone = (ulong)documents;
                job.Rows = (ulong)rows;
                return job;
            },
            cancel.Token);
        if (JobStore.HasEnded(job))
        {
            await cancel.CancelAsync();
            cancel.Token.ThrowIfCancellationRequested();
        }
    }

    private async Task StoreAsync(string id, IReadOnlyList<AffineMap> maps, CancellationToken cancellation)
    {
        await _ending.WaitAsync(cancellation);
        try
        {
            cancellation.ThrowIfCancellationRequested();

            // The control first: who sees the map or the job's success finds both.
            AffineMap? stored = null;
            foreach (var map in maps.Reverse())
            {
                stored = await connection.Store.Maps.PutAsync(map, cancellation);
            }

            await Store.UpdateAsync(
                id,
                job =>
                {
                    job.State = JobState.Succeeded;
                    job.Result = stored!.Info;
                    return job;
                },
                cancellation);
            var metrics = stored!.Info.Metrics;
            MappingLog.Fitted(logger, id, stored.Info.Name, (long)metrics.Rows, metrics.R2, metrics.FitTime.Seconds);
        }
        finally
        {
            _ending.Release();
        }
    }

    private Task<MapJob> EndAsync(string id, JobState state, string error, CancellationToken cancellation) => Store.UpdateAsync(
        id,
        job =>
        {
            if (JobStore.HasEnded(job))
            {
                return null;
            }

            job.State = state;
            job.Error = error;
            return job;
        },
        cancellation);

    private async Task RecordFailureAsync(string id, string error)
    {
        using var patience = new CancellationTokenSource(LastWrite);
        try
        {
            await EndAsync(id, JobState.Failed, error, patience.Token);
        }
        catch (Exception e) when (e is LrtMeshException or OperationCanceledException)
        {
            MappingLog.NotRecorded(logger, e, id); // the next start finds it and fails it
        }
    }
}

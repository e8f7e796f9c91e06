using System.Diagnostics;
using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.Core.Telemetry;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>
/// Creates and cancels map jobs, and works on them, one at a time: its own or those that other workers left, since all that a job needs is
/// in the store.
/// </summary>
internal sealed class MapJobs(StoreConnection connection, MapFitter fitter, ILogger<MapJobs> logger) : BackgroundService
{
    private const int MaxOpen = 32;
    private const int MaxStalledAttempts = 5;
    private static readonly TimeSpan RequestOutlivesJob = TimeSpan.FromHours(1);
    private static readonly TimeSpan LastWrite = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan CountEvery = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan AfterFailure = TimeSpan.FromSeconds(1);

    private readonly string _worker = $"{Environment.MachineName}-{Environment.ProcessId}-{Guid.NewGuid():N}"[..^24];
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Creates a job, or finds the one that the same request id created before.</summary>
    /// <param name="store">The jobs of its tenant.</param>
    /// <param name="request">The request, checked.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="LrtMeshException">ResourceExhausted: too many jobs wait; Unavailable: the store.</exception>
    public static async Task<MapJob> CreateAsync(JobStore store, CreateMapJobRequest request, CancellationToken cancellation)
    {
        if (await store.Open.CountAsync(cancellation) >= MaxOpen)
        {
            throw new LrtMeshException(ErrorReason.ResourceExhausted, $"{MaxOpen} jobs of yours are waiting; try again when one has ended")
            {
                RetryAfter = TimeSpan.FromSeconds(10),
            };
        }

        var limit = MapRequest.TimeLimitOf(request);
        var job = new MapJob
        {
            Map = request.Map,
            Source = request.Source,
            Target = request.Target,
            State = JobState.Pending,
            DocumentsTotal = (ulong)request.Documents.Count,
            Deadline = Timestamp.FromDateTime(DateTime.UtcNow + limit),
            TraceParent = Activity.Current?.Id ?? "",
        };
        var created = await store.CreateAsync(job, request, limit + RequestOutlivesJob, request.RequestId, cancellation);
        JobMetrics.WasCreated();
        return created;
    }

    /// <summary>Cancels a job that has not ended and does not store its maps yet.</summary>
    /// <returns>The job as it stands.</returns>
    public static async Task<MapJob> CancelAsync(JobStore store, string id, CancellationToken cancellation)
    {
        var ends = false;
        var job = await store.UpdateAsync(
            id,
            job =>
            {
                ends = !JobStore.HasEnded(job) && job.State != JobState.Storing;
                if (!ends)
                {
                    return null;
                }

                job.State = JobState.Cancelled;
                return job;
            },
            cancellation);
        if (ends)
        {
            JobMetrics.Ended(job);
        }

        if (job.State == JobState.Cancelled)
        {
            await store.Files.DeleteAsync(id, JobFiles.Moments, cancellation);
        }

        return job;
    }

    /// <summary>Lets work begin: the store is connected.</summary>
    public void Begin() => _begun.TrySetResult();

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        await _begun.Task.WaitAsync(stoppingToken);
        var counting = CountAsync(stoppingToken);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await foreach (var (store, job) in connection.TakeJobsAsync(_worker, stoppingToken))
                {
                    await RunAsync(store, job, stoppingToken);
                }
            }
            catch (LrtMeshException e)
            {
                MappingLog.NoJobs(logger, e.Message);
                await Task.Delay(AfterFailure, stoppingToken);
            }
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
            {
                // Nothing here may end the role, which serves calls too; a job that was held is tried again once its lease has run out.
                MappingLog.Surprised(logger, e);
                await Task.Delay(AfterFailure, stoppingToken);
            }
        }

        await counting;
    }

    /// <summary>Keeps the number of open jobs for metrics, also while this worker is at one.</summary>
    private async Task CountAsync(CancellationToken stopping)
    {
        for (; ; await Task.Delay(CountEvery, stopping))
        {
            try
            {
                JobMetrics.Open(await connection.CountOpenJobsAsync(stopping));
            }
            catch (LrtMeshException)
            {
                // The store is away, which its own metrics tell; the number last seen stays.
            }
            catch (Exception e) when (!stopping.IsCancellationRequested)
            {
                MappingLog.Surprised(logger, e);
            }
        }
    }

    private async Task RunAsync(TenantStore store, MapJob job, CancellationToken stopping)
    {
        if (job.StalledAttempts > MaxStalledAttempts)
        {
            await FailAsync(store.Jobs, job, $"given up: {MaxStalledAttempts} workers took it and got no further{(job.Error.Length > 0 ? $"; the last one: {job.Error}" : "")}");
            return;
        }

        // In the trace of the call that created it, whichever worker that was asked of.
        _ = ActivityContext.TryParse(job.TraceParent, traceState: null, isRemote: true, out var parent);
        using var span = Spans.Source.StartActivity("map job", ActivityKind.Consumer, parent);
        JobMetrics.Begins();
        MappingLog.Taken(logger, job.Id, job.Attempts);
        var release = true;
        var held = new HeldJob(store, job, _worker, stopping);
        try
        {
            await fitter.FitAsync(held);
        }
        catch (OperationCanceledException) when (held.Ended.IsCancellationRequested)
        {
            MappingLog.Ended(logger, job.Id, held.Why ?? "this worker stops; another one goes on");
            if (held.IsLate)
            {
                await FailAsync(store.Jobs, job, $"did not end within its time limit, at {job.Deadline.ToDateTime():u}");
            }
        }
        catch (LrtMeshException e) when (e.Reason == ErrorReason.Unavailable)
        {
            span?.SetStatus(ActivityStatusCode.Error);
            // The lease runs out by itself, which gives what is gone the time to come back.
            MappingLog.Ended(logger, job.Id, e.Message);
            await NoteAsync(store.Jobs, job, e.Message);
            release = false;
        }
        catch (LrtMeshException e)
        {
            MappingLog.Refused(logger, job.Id, e.Reason); // the message may quote texts
            await FailAsync(store.Jobs, job, e.Message);
        }
        catch (Exception e)
        {
            MappingLog.Failed(logger, e, job.Id);
            await FailAsync(store.Jobs, job, "an internal error; the server's log has it under this job's id");
        }
        finally
        {
            JobMetrics.LetsGo();
            await held.DisposeAsync();
        }

        if (release)
        {
            await LastlyAsync(job.Id, patience => store.Jobs.Open.ReleaseAsync(job.Id, _worker, patience));
        }
    }

    private async Task FailAsync(JobStore store, MapJob job, string error)
    {
        Activity.Current?.SetStatus(ActivityStatusCode.Error);
        await ChangeAsync(store, job, current =>
        {
            current.State = JobState.Failed;
            current.Error = error;
        });
    }

    private Task NoteAsync(JobStore store, MapJob job, string error) => ChangeAsync(store, job, current => current.Error = error);

    /// <summary>Changes a job that is still this worker's.</summary>
    private Task ChangeAsync(JobStore store, MapJob job, Action<MapJob> change) => LastlyAsync(job.Id, async patience =>
    {
        var ends = false;
        var changed = await store.UpdateAsync(
            job.Id,
            current =>
            {
                ends = false;
                if (JobStore.HasEnded(current) || current.Attempts != job.Attempts)
                {
                    return null;
                }

                change(current);
                ends = JobStore.HasEnded(current);
                return current;
            },
            patience);
        if (ends)
        {
            JobMetrics.Ended(changed);
        }
    });

    private async Task LastlyAsync(string id, Func<CancellationToken, Task> write)
    {
        using var patience = new CancellationTokenSource(LastWrite);
        try
        {
            await write(patience.Token);
        }
        catch (Exception e)
        {
            MappingLog.NotRecorded(logger, e, id); // the lease runs out, and another worker finds it as it is
        }
    }
}

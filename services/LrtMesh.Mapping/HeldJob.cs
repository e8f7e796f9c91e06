using System.Diagnostics;
using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>
/// A job in a worker's hands. It keeps up the lease, and it lets go when the job is cancelled, is past its deadline, or has become
/// another worker's.
/// </summary>
internal sealed class HeldJob : IAsyncDisposable
{
    // Saving may take this share of the time, and comes no more often than SaveAfter.
    private const int SaveShare = 20;
    private static readonly TimeSpan SaveAfter = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan KeptMoments = TimeSpan.FromDays(7);
    private static readonly TimeSpan ReportEvery = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan Beat = OpenJobs.LeaseTime / 4;

    private readonly string _worker;
    private readonly CancellationTokenSource _end;
    private readonly Task _heart;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private TimeSpan _reported = TimeSpan.MinValue;
    private TimeSpan _saveAt = SaveAfter;
    private double? _progressAtStart;

    public HeldJob(TenantStore store, MapJob job, string worker, CancellationToken stopping)
    {
        (Store, Job, _worker) = (store, job, worker);
        _end = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        _heart = BeatAsync();
    }

    /// <summary>What the job's tenant has: where it reads from and writes to.</summary>
    public TenantStore Store { get; }

    /// <summary>The job as this worker knows it.</summary>
    public MapJob Job { get; private set; }

    /// <summary>Ends when the job is this worker's no more, or when the worker stops.</summary>
    public CancellationToken Ended => _end.Token;

    /// <summary>Why it is this worker's no more; null: the worker stops.</summary>
    public string? Why { get; private set; }

    /// <summary>Whether the job has passed its deadline.</summary>
    public bool IsLate { get; private set; }

    /// <summary>When moments should be saved next.</summary>
    public bool IsSaveDue => _clock.Elapsed >= _saveAt;

    /// <summary>Changes the job, if it is still this worker's.</summary>
    /// <exception cref="OperationCanceledException">It is not.</exception>
    public async Task UpdateAsync(Action<MapJob> change)
    {
        var held = true;
        var job = await Store.Jobs.UpdateAsync(
            Job.Id,
            current =>
            {
                held = !JobStore.HasEnded(current) && current.Attempts == Job.Attempts;
                if (held)
                {
                    change(current);
                }

                return held ? current : null;
            },
            Ended);
        if (!held)
        {
            await LetGoAsync(JobStore.HasEnded(job) ? $"it is {job.State}" : $"{job.Worker} has it now");
            Ended.ThrowIfCancellationRequested();
        }

        Job = job;
    }

    /// <summary>Records how far it is, now and then.</summary>
    /// <param name="progress">Share of the texts that is read, 0 to 1.</param>
    /// <param name="gathered">What there is.</param>
    public async Task ReportAsync(double progress, Gathered gathered)
    {
        _progressAtStart ??= progress;
        if (_clock.Elapsed - ReportEvery < _reported)
        {
            return;
        }

        _reported = _clock.Elapsed;
        await UpdateAsync(job => Describe(job, JobState.Extracting, progress, gathered));
    }

    /// <summary>Records that all is read.</summary>
    public Task SolvingAsync(Gathered gathered) => UpdateAsync(job => Describe(job, JobState.Solving, 1, gathered));

    /// <summary>Saves moments, from which another worker can go on.</summary>
    public async Task SaveAsync(Gathered gathered)
    {
        var began = _clock.Elapsed;
        await using var content = JobFiles.TemporaryFile();
        gathered.Save(content);
        if (!await Store.Jobs.Files.WriteAsync(Job.Id, JobFiles.Moments, content, KeptMoments, _worker, Ended))
        {
            await LetGoAsync("its lease ran out");
            Ended.ThrowIfCancellationRequested();
        }

        await UpdateAsync(job =>
        {
            job.DocumentsSaved = (ulong)gathered.Documents;
            job.StalledAttempts = 0;
        });
        var took = _clock.Elapsed - began;
        _saveAt = _clock.Elapsed + (took * SaveShare > SaveAfter ? took * SaveShare : SaveAfter);
    }

    /// <summary>Stops keeping up the lease.</summary>
    public async ValueTask DisposeAsync()
    {
        await _end.CancelAsync();
        await _heart;
        _end.Dispose();
    }

    /// <summary>A state once the job stores its maps stays: it can no longer be cancelled.</summary>
    private void Describe(MapJob job, JobState state, double progress, Gathered gathered)
    {
        job.State = job.State == JobState.Storing ? JobState.Storing : state;
        job.Progress = progress;
        job.DocumentsDone = (ulong)gathered.Documents;
        job.Rows = (ulong)gathered.Moments.Rows;
        job.RefusedRows = (ulong)gathered.Moments.RefusedRows;
        job.LeftOutMessages = (ulong)gathered.LeftOutMessages;
        foreach (var (model, count) in gathered.Tokens)
        {
            job.Tokens[model] = (ulong)count;
        }

        var share = progress - (_progressAtStart ?? 0);
        job.TimeLeft = share > 0 ? Duration.FromTimeSpan(_clock.Elapsed * ((1 - progress) / share)) : null;
    }

    private async Task BeatAsync()
    {
        try
        {
            for (var kept = _clock.Elapsed; ; await Task.Delay(Beat, Ended))
            {
                if (Job.Deadline.ToDateTime() <= DateTime.UtcNow)
                {
                    IsLate = true;
                    await LetGoAsync("it is past its deadline");
                    return;
                }

                try
                {
                    if (!await Store.Jobs.Open.KeepAsync(Job.Id, _worker, Ended))
                    {
                        await LetGoAsync("its lease ran out");
                        return;
                    }

                    kept = _clock.Elapsed;
                    var job = await Store.Jobs.GetAsync(Job.Id, Ended);
                    if (JobStore.HasEnded(job))
                    {
                        await LetGoAsync($"it is {job.State}");
                        return;
                    }
                }
                catch (LrtMeshException e) when (_clock.Elapsed - kept > OpenJobs.LeaseTime)
                {
                    await LetGoAsync($"the store has not answered for {OpenJobs.LeaseTime.TotalSeconds} s: {e.Message}");
                    return;
                }
                catch (LrtMeshException)
                {
                    // The store may be back before the lease has run out.
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Let go.
        }
    }

    private async Task LetGoAsync(string why)
    {
        Why ??= why;
        await _end.CancelAsync();
    }
}

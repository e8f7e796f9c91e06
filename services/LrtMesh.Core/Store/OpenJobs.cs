using System.Runtime.CompilerServices;
using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>
/// Hands out jobs that have not ended, each to one worker at a time. A worker holds a job by a lease that it keeps up; when it is
/// gone the lease runs out and another worker takes the job. A lease may run out while its worker still lives: what a worker
/// writes of a job is therefore written only if the job's count of attempts is still its own.
/// </summary>
public sealed class OpenJobs
{
    /// <summary>How long a job stays with a worker that says nothing.</summary>
    public static readonly TimeSpan LeaseTime = TimeSpan.FromSeconds(10);

    private const string Opened = "lrtmesh:jobs:opened";
    private static readonly RedisKey Ids = "lrtmesh:{jobs}:open"; // ids by the time at which they were added, in milliseconds
    private static readonly TimeSpan PollEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan CreatedWithin = TimeSpan.FromMinutes(10);

    private readonly RedisLink _link;
    private readonly JobStore _jobs;

    internal OpenJobs(RedisLink link, JobStore jobs) => (_link, _jobs) = (link, jobs);

    /// <summary>Jobs that have not ended.</summary>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public Task<long> CountAsync(CancellationToken ct) => _link.RunAsync("the list of open jobs", db => db.SortedSetLengthAsync(Ids), ct);

    /// <summary>Jobs for a worker, oldest first, as they come to be free; goes on until it is stopped.</summary>
    /// <param name="worker">The worker's name, unlike that of any other.</param>
    /// <param name="ct">Stops it.</param>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public async IAsyncEnumerable<V1.MapJob> TakeAsync(string worker, [EnumeratorCancellation] CancellationToken ct)
    {
        await using var opened = await _link.ListenAsync("the list of open jobs", Opened, ct);
        while (true)
        {
            if (await TakeFirstAsync(worker, ct) is { } job)
            {
                yield return job;
            }
            else
            {
                await opened.WaitAsync(PollEvery, ct);
            }
        }
    }

    /// <summary>Keeps up the lease.</summary>
    /// <returns>False if the worker has the job no more.</returns>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public Task<bool> KeepAsync(string id, string worker, CancellationToken ct) =>
        IfHeldAsync(id, worker, transaction => transaction.KeyExpireAsync(LeaseKey(id), LeaseTime), ct);

    /// <summary>Gives a job back, for whoever is free.</summary>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public async Task ReleaseAsync(string id, string worker, CancellationToken ct)
    {
        await IfHeldAsync(id, worker, transaction => transaction.KeyDeleteAsync(LeaseKey(id)), ct);
        _link.Notify(Opened);
    }

    internal static RedisKey LeaseKey(string id) => $"lrtmesh:job:{{{id}}}:lease";

    /// <summary>Adds a job; called before its record is written and again after.</summary>
    internal async Task AddAsync(string id, CancellationToken ct)
    {
        await _link.RunAsync(
            What(id), db => db.SortedSetAddAsync(Ids, id, DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), SortedSetWhen.NotExists), ct);
        _link.Notify(Opened);
    }

    /// <summary>Removes a job that has ended.</summary>
    internal Task RemoveAsync(string id, CancellationToken ct) => _link.RunAsync(What(id), db => db.SortedSetRemoveAsync(Ids, id), ct);

    private async Task<V1.MapJob?> TakeFirstAsync(string worker, CancellationToken ct)
    {
        foreach (var entry in await _link.RunAsync("the list of open jobs", db => db.SortedSetRangeByRankWithScoresAsync(Ids), ct))
        {
            var id = (string)entry.Element!;
            if (!await _link.RunAsync(What(id), db => db.StringSetAsync(LeaseKey(id), worker, LeaseTime, When.NotExists), ct))
            {
                continue;
            }

            var job = await _jobs.FindAsync(id, ct);
            if (job is not null && !JobStore.HasEnded(job))
            {
                return await _jobs.UpdateAsync(
                    id,
                    taken =>
                    {
                        taken.Attempts++;
                        taken.StalledAttempts++;
                        taken.Worker = worker;
                        return taken;
                    },
                    ct);
            }

            // One that is not there may be about to be created.
            if (job is not null || DateTimeOffset.FromUnixTimeMilliseconds((long)entry.Score) + CreatedWithin < DateTimeOffset.UtcNow)
            {
                await RemoveAsync(id, ct);
            }

            await IfHeldAsync(id, worker, transaction => transaction.KeyDeleteAsync(LeaseKey(id)), ct);
        }

        return null;
    }

    private Task<bool> IfHeldAsync(string id, string worker, Func<ITransaction, Task> change, CancellationToken ct) => _link.RunAsync(
        What(id),
        db =>
        {
            var transaction = db.CreateTransaction();
            transaction.AddCondition(Condition.StringEqual(LeaseKey(id), worker));
            _ = change(transaction);
            return transaction.ExecuteAsync();
        },
        ct);

    private static string What(string id) => $"job \"{id}\"";
}

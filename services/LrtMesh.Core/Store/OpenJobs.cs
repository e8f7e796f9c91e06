using System.Runtime.CompilerServices;
using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>
/// Hands out jobs that have not ended, each to one worker at a time, whatever tenant they are of. A worker holds a job by a lease that it keeps
/// up; when it is gone the lease runs out and another worker takes the job. A lease may run out while its worker still lives: what a worker
/// writes of a job is therefore written only if the job's count of attempts is still its own.
/// </summary>
public sealed class OpenJobs
{
    /// <summary>How long a job stays with a worker that says nothing.</summary>
    public static readonly TimeSpan LeaseTime = TimeSpan.FromSeconds(10);

    private const string Opened = "lrtmesh:jobs:opened";
    private const char TenantEnds = ':'; // which no tenant's name and no id has
    /// <summary>[TENANT:]ID by the time at which it was added, in milliseconds.</summary>
    internal static readonly RedisKey Entries = "lrtmesh:{jobs}:open";

    private static readonly TimeSpan PollEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan CreatedWithin = TimeSpan.FromMinutes(10);

    private readonly RedisLink _link;
    private readonly TenantKeys _keys;

    internal OpenJobs(RedisLink link, TenantKeys keys) => (_link, _keys) = (link, keys);

    /// <summary>Jobs of this tenant that have not ended.</summary>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public async Task<int> CountAsync(CancellationToken ct)
    {
        var entries = await _link.RunAsync("the list of open jobs", db => db.SortedSetRangeByRankAsync(Entries), ct);
        return entries.Count(entry => Parse(entry).Tenant == _keys.Tenant);
    }

    /// <summary>Keeps up the lease.</summary>
    /// <returns>False if the worker has the job no more.</returns>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public Task<bool> KeepAsync(string id, string worker, CancellationToken ct) =>
        IfHeldAsync(id, worker, transaction => transaction.KeyExpireAsync(LeaseKey(_keys, id), LeaseTime), ct);

    /// <summary>Gives a job back, for whoever is free.</summary>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public async Task ReleaseAsync(string id, string worker, CancellationToken ct)
    {
        await IfHeldAsync(id, worker, transaction => transaction.KeyDeleteAsync(LeaseKey(_keys, id)), ct);
        _link.Notify(Opened);
    }

    internal static RedisKey LeaseKey(TenantKeys keys, string id) => $"{keys.Root}job:{{{id}}}:lease";

    internal static Task<long> CountAllAsync(RedisLink link, CancellationToken ct) => link.RunAsync("the list of open jobs", db => db.SortedSetLengthAsync(Entries), ct);

    internal static async IAsyncEnumerable<(TenantStore Store, V1.MapJob Job)> TakeAsync(
        RedisLink link, Func<string, TenantStore> storeOf, string worker, [EnumeratorCancellation] CancellationToken ct)
    {
        await using var opened = await link.ListenAsync("the list of open jobs", Opened, ct);
        while (true)
        {
            if (await TakeFirstAsync(link, storeOf, worker, ct) is { } taken)
            {
                yield return taken;
            }
            else
            {
                await opened.WaitAsync(PollEvery, ct);
            }
        }
    }

    /// <summary>Adds a job; called before its record is written and again after.</summary>
    internal async Task AddAsync(string id, CancellationToken ct)
    {
        await _link.RunAsync(
            What(id), db => db.SortedSetAddAsync(Entries, EntryOf(id), DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), SortedSetWhen.NotExists), ct);
        _link.Notify(Opened);
    }

    /// <summary>Removes a job that has ended.</summary>
    internal Task RemoveAsync(string id, CancellationToken ct) => _link.RunAsync(What(id), db => db.SortedSetRemoveAsync(Entries, EntryOf(id)), ct);

    private static async Task<(TenantStore Store, V1.MapJob Job)?> TakeFirstAsync(RedisLink link, Func<string, TenantStore> storeOf, string worker, CancellationToken ct)
    {
        foreach (var entry in await link.RunAsync("the list of open jobs", db => db.SortedSetRangeByRankWithScoresAsync(Entries), ct))
        {
            var (tenant, id) = Parse(entry.Element);
            var store = storeOf(tenant);
            if (await store.Jobs.Open.TakeAsync(id, DateTimeOffset.FromUnixTimeMilliseconds((long)entry.Score), store.Jobs, worker, ct) is { } job)
            {
                return (store, job);
            }
        }

        return null;
    }

    private async Task<V1.MapJob?> TakeAsync(string id, DateTimeOffset added, JobStore jobs, string worker, CancellationToken ct)
    {
        if (!await _link.RunAsync(What(id), db => db.StringSetAsync(LeaseKey(_keys, id), worker, LeaseTime, When.NotExists), ct))
        {
            return null;
        }

        V1.MapJob? job;
        try
        {
            job = await jobs.FindAsync(id, ct);
        }
        catch (LrtMeshException e) when (e.Reason is ErrorReason.DataLoss or ErrorReason.FailedPrecondition)
        {
            // Damaged, or for a newer worker: it holds up no other job.
            await IfHeldAsync(id, worker, transaction => transaction.KeyDeleteAsync(LeaseKey(_keys, id)), ct);
            return null;
        }

        if (job is not null && !JobStore.HasEnded(job))
        {
            return await jobs.UpdateAsync(
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
        if (job is not null || added + CreatedWithin < DateTimeOffset.UtcNow)
        {
            await RemoveAsync(id, ct);
        }

        await IfHeldAsync(id, worker, transaction => transaction.KeyDeleteAsync(LeaseKey(_keys, id)), ct);
        return null;
    }

    private Task<bool> IfHeldAsync(string id, string worker, Func<ITransaction, Task> change, CancellationToken ct) => _link.RunAsync(
        What(id),
        db =>
        {
            var transaction = db.CreateTransaction();
            transaction.AddCondition(Condition.StringEqual(LeaseKey(_keys, id), worker));
            _ = change(transaction);
            return transaction.ExecuteAsync();
        },
        ct);

    private string EntryOf(string id) => _keys.Tenant.Length == 0 ? id : $"{_keys.Tenant}{TenantEnds}{id}";

    private static (string Tenant, string Id) Parse(RedisValue entry)
    {
        var text = (string)entry!;
        var end = text.IndexOf(TenantEnds, StringComparison.Ordinal);
        return end < 0 ? ("", text) : (text[..end], text[(end + 1)..]);
    }

    private static string What(string id) => $"job \"{id}\"";
}

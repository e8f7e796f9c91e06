using System.Globalization;
using System.Runtime.CompilerServices;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core.Telemetry;
using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>Jobs in Redis. A job's id sorts by the time at which it was created.</summary>
public sealed class JobStore
{
    private const int Schema = 1;
    private const int MaxAttempts = 100;
    private static readonly TimeSpan PollEvery = TimeSpan.FromSeconds(2);
    private static readonly RedisValue[] Fields = ["schema", "revision", "job", "digest"];

    private readonly RedisLink _link;
    private readonly TenantKeys _keys;
    private readonly NameIndex _index;

    internal JobStore(RedisLink link, TenantKeys keys)
    {
        _link = link;
        _keys = keys;
        _index = new NameIndex(link, keys, "job", Order.Descending);
        Open = new OpenJobs(link, keys);
        Files = new JobFiles(link, keys);
    }

    /// <summary>Jobs that have not ended, for workers.</summary>
    public OpenJobs Open { get; }

    /// <summary>What belongs to jobs beside their records.</summary>
    public JobFiles Files { get; }

    /// <summary>Whether a job has ended: nothing changes it any more.</summary>
    public static bool HasEnded(V1.MapJob job) =>
        job.State is V1.JobState.Succeeded or V1.JobState.Failed or V1.JobState.Cancelled;

    /// <summary>Creates a job, or finds the one that the same request created before.</summary>
    /// <param name="job">The job; id, revision and times are set here.</param>
    /// <param name="request">What it is to do, for whichever worker takes it; kept for <paramref name="keep"/>.</param>
    /// <param name="keep">How long the request is kept: longer than the job may take.</param>
    /// <param name="requestId">Chosen by the client; empty for none.</param>
    /// <param name="ct">Stops the wait.</param>
    /// <exception cref="LrtMeshException">Unavailable; ResourceExhausted: Redis is full.</exception>
    public async Task<V1.MapJob> CreateAsync(V1.MapJob job, IMessage request, TimeSpan keep, string requestId, CancellationToken ct)
    {
        var created = job.Clone();
        created.Id = Guid.CreateVersion7().ToString("N");
        created.Revision = 1;
        created.CreatedAt = created.UpdatedAt = Timestamp.FromDateTime(DateTime.UtcNow);
        if (requestId.Length > 0)
        {
            // The request claims an id first, so that after a crash in between its repetition creates the job under that id.
            created.Id = await ClaimAsync(requestId, created.Id, ct);
            if (await FindAsync(created.Id, ct) is { } found)
            {
                return found;
            }
        }

        using var content = new MemoryStream(request.ToByteArray());
        await Files.WriteAsync(created.Id, JobFiles.Request, content, keep, worker: null, ct);
        await _index.AddAsync(created.Id, ct);
        await Open.AddAsync(created.Id, ct);
        if (!await CommitAsync(created, expected: 0, ct))
        {
            return await GetAsync(created.Id, ct);
        }

        await _index.AddAsync(created.Id, ct);
        await Open.AddAsync(created.Id, ct);
        await _link.ReplicatedAsync(What(created.Id), [Key(created.Id), _index.Key, OpenJobs.Entries], ct);
        return created;
    }

    /// <summary>Reads a job.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument: the id; NotFound; DataLoss; Unavailable.</exception>
    public async Task<V1.MapJob> GetAsync(string id, CancellationToken ct)
    {
        RecordName.Check(id, "id");
        return await FindAsync(id, ct) ?? throw LrtMeshException.NotFound("id", $"there is no {What(id)} in the store");
    }

    /// <summary>Lists jobs, newest first.</summary>
    /// <param name="pageSize">At most this many; 0 means 100, at most 1000.</param>
    /// <param name="pageToken">Token of the page before; empty for the first.</param>
    /// <param name="ct">Stops the wait.</param>
    /// <exception cref="LrtMeshException">InvalidArgument; DataLoss; Unavailable.</exception>
    public Task<Page<V1.MapJob>> ListAsync(int pageSize, string pageToken, CancellationToken ct) =>
        _index.ListAsync("", pageSize, pageToken, Key, id => FindAsync(id, ct), ct);

    /// <summary>Changes a job as it stands now, trying again where another change came first.</summary>
    /// <param name="id">Its id.</param>
    /// <param name="change">Gets a copy of the job and returns what it should be, or null to leave it; may be called several times.</param>
    /// <param name="ct">Stops the wait.</param>
    /// <returns>The job as it stands after.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument: the id; NotFound; DataLoss; Unavailable.</exception>
    public async Task<V1.MapJob> UpdateAsync(string id, Func<V1.MapJob, V1.MapJob?> change, CancellationToken ct)
    {
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var before = await GetAsync(id, ct);
            var changed = change(before.Clone())?.Clone();
            if (changed is null)
            {
                return before;
            }

            changed.Id = id;
            changed.CreatedAt = before.CreatedAt;
            changed.UpdatedAt = Timestamp.FromDateTime(DateTime.UtcNow);
            changed.Revision = before.Revision + 1;
            if (await CommitAsync(changed, before.Revision, ct))
            {
                await _link.ReplicatedAsync(What(id), [Key(id)], ct);
                _link.Notify(ChannelOf(id));
                if (HasEnded(changed))
                {
                    await Open.RemoveAsync(id, ct);
                    await Files.DeleteAsync(id, JobFiles.Request, ct);
                }

                return changed;
            }

            await Task.Delay(Random.Shared.Next(1, 20), ct);
        }

        throw new LrtMeshException(ErrorReason.Unavailable, $"{What(id)} is being changed by too many at once");
    }

    /// <summary>
    /// The job as it stands and then each change that is seen; changes in quick succession may come as one. Ends when the job has.
    /// </summary>
    /// <param name="id">Its id.</param>
    /// <param name="afterRevision">Only revisions above this one, so that a broken watch resumes; 0 for all.</param>
    /// <param name="ct">Stops the watch.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the id; NotFound; DataLoss; Unavailable.</exception>
    public async IAsyncEnumerable<V1.MapJob> WatchAsync(
        string id, ulong afterRevision, [EnumeratorCancellation] CancellationToken ct)
    {
        RecordName.Check(id, "id");
        // Listening starts before the first read, so that no change falls in between.
        await using var changes = await _link.ListenAsync(What(id), ChannelOf(id), ct);
        var seen = afterRevision;
        while (true)
        {
            var job = await GetAsync(id, ct);
            if (job.Revision > seen)
            {
                seen = job.Revision;
                yield return job;
            }

            if (HasEnded(job))
            {
                yield break;
            }

            await changes.WaitAsync(PollEvery, ct);
        }
    }

    private async Task<string> ClaimAsync(string requestId, string id, CancellationToken ct)
    {
        using var digest = new ContentDigest();
        // A digest: a client's id may hold any character.
        RedisKey key = $"{_keys.Root}job-request:{digest.Add(requestId).Finish()}";
        return await _link.RunAsync(
            What(id),
            async db => await db.StringSetAsync(key, id, when: When.NotExists) ? id : (string?)await db.StringGetAsync(key) ?? id,
            ct);
    }

    internal async Task<V1.MapJob?> FindAsync(string id, CancellationToken ct)
    {
        var values = await _link.RunAsync(What(id), db => db.HashGetAsync(Key(id), Fields), ct);
        if (values.All(value => value.IsNull))
        {
            return null;
        }

        RecordHeader.RefuseNewer(values[0], Schema, What(id));
        if (!values[0].TryParse(out int schema) || schema != Schema)
        {
            throw Damaged(id, $"its schema version is {values[0]}, which never was");
        }

        var bytes = (byte[]?)values[2] ?? [];
        if (DigestOf(bytes) != values[3])
        {
            throw Damaged(id, "it does not match its digest");
        }

        try
        {
            var job = V1.MapJob.Parser.ParseFrom(bytes);
            return job.Id == id && Written(job.Revision) == values[1] ? job : throw Damaged(id, "its id or revision does not fit");
        }
        catch (InvalidProtocolBufferException)
        {
            throw Damaged(id, "it cannot be read");
        }
    }

    /// <summary>Writes a job if its stored revision is still the expected one; 0: if there is none.</summary>
    private Task<bool> CommitAsync(V1.MapJob job, ulong expected, CancellationToken ct) =>
        _link.RunAsync(
            What(job.Id),
            db =>
            {
                var key = Key(job.Id);
                var bytes = job.ToByteArray();
                var transaction = db.CreateTransaction();
                transaction.AddCondition(
                    expected == 0 ? Condition.KeyNotExists(key) : Condition.HashEqual(key, "revision", Written(expected)));
                _ = transaction.HashSetAsync(
                    key,
                    [new("schema", Schema), new("revision", Written(job.Revision)), new("job", bytes), new("digest", DigestOf(bytes))]);
                return transaction.ExecuteAsync();
            },
            ct);

    private static string Written(ulong revision) => revision.ToString(CultureInfo.InvariantCulture);

    private static string DigestOf(byte[] job)
    {
        using var digest = new ContentDigest();
        return digest.AddBytes(job).Finish();
    }

    private RedisKey Key(string id) => $"{_keys.Root}job:{{{id}}}";

    private string ChannelOf(string id) => $"{_keys.Root}job:{{{id}}}:changed";

    private static string What(string id) => $"job \"{id}\"";

    private static LrtMeshException Damaged(string id, string why)
    {
        StoreMetrics.FoundDamaged("job");
        return new(ErrorReason.DataLoss, $"{What(id)} in the store is damaged: {why}");
    }
}

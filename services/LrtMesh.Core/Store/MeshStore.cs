using Microsoft.Extensions.Logging;

namespace LrtMesh.Core.Store;

/// <summary>Vectors, maps and jobs in Redis, or in a server that speaks its protocol: itself what the default tenant has, and the way to that of others.</summary>
public sealed partial class MeshStore : TenantStore, IAsyncDisposable
{
    private readonly RedisLink _link;
    private readonly TimeSpan _keepVersions;
    private readonly RecordCaches _caches;

    private MeshStore(RedisLink link, TimeSpan keepVersions, RecordCaches caches, string durability)
        : base(link, new TenantKeys(""), keepVersions, caches)
    {
        _link = link;
        _keepVersions = keepVersions;
        _caches = caches;
        Durability = durability;
    }

    /// <summary>What survives a crash of the server, in words, as its settings said at the start.</summary>
    public string Durability { get; }

    /// <summary>Connects. A connection that breaks later comes back by itself.</summary>
    /// <param name="options">Where it is.</param>
    /// <param name="logger">Hears of the connection's loss and return.</param>
    /// <param name="ct">Stops the wait.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the configuration; Unavailable: no server answers there, or none that takes writes;
    /// FailedPrecondition: a full server would throw records away.</exception>
    public static async Task<MeshStore> ConnectAsync(StoreOptions options, ILogger<MeshStore> logger, CancellationToken ct)
    {
        var link = await RedisLink.ConnectAsync(options, logger, ct);
        try
        {
            var promises = await link.PromisesAsync(ct);
            LogConnected(logger, promises.Durability);
            if (promises.Eviction is { } policy)
            {
                LogEviction(logger, policy);
            }

            return new MeshStore(link, options.KeepVersions, new RecordCaches(), promises.Durability);
        }
        catch
        {
            await link.DisposeAsync();
            throw;
        }
    }

    /// <summary>What a tenant has.</summary>
    /// <param name="tenant">Its name; empty for the default tenant.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: no tenant can be called that.</exception>
    public TenantStore For(string tenant)
    {
        if (tenant.Length == 0)
        {
            return this;
        }

        RecordName.Check(tenant, "tenant");
        return Of(_link, new TenantKeys(tenant), _keepVersions, _caches);
    }

    /// <summary>Jobs of all tenants for a worker, oldest first, as they come to be free; goes on until it is stopped.</summary>
    /// <param name="worker">The worker's name, unlike that of any other.</param>
    /// <param name="ct">Stops it.</param>
    /// <returns>Each job, and what its tenant has.</returns>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public IAsyncEnumerable<(TenantStore Store, V1.MapJob Job)> TakeJobsAsync(string worker, CancellationToken ct) => OpenJobs.TakeAsync(_link, For, worker, ct);

    /// <summary>Jobs of all tenants that have not ended.</summary>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public Task<long> CountOpenJobsAsync(CancellationToken ct) => OpenJobs.CountAllAsync(_link, ct);

    /// <summary>Asks the server for an answer.</summary>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public Task PingAsync(CancellationToken ct) => _link.RunAsync("the store", db => db.PingAsync(), ct);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _link.DisposeAsync();

    [LoggerMessage(Level = LogLevel.Information, Message = "Connected to the store: {Durability}")]
    private static partial void LogConnected(ILogger logger, string durability);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The store, when it is full, throws away what is kept for a time (maxmemory-policy {Policy}): requests and moments of jobs, and writes under way. Set it to noeviction")]
    private static partial void LogEviction(ILogger logger, string policy);
}

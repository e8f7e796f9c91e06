using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.V1;
using Microsoft.Extensions.Logging;

namespace LrtMesh.ServiceDefaults;

/// <summary>The role's connection to the store, made while it starts.</summary>
public sealed class StoreConnection(RoleOptions options, ILogger<MeshStore> logger) : IAsyncDisposable
{
    private MeshStore? _store;

    /// <summary>What survives a crash of the store, in words.</summary>
    public string Durability => Store.Durability;

    private MeshStore Store => _store
        ?? throw new LrtMeshException(ErrorReason.Unavailable, "this server is starting and not connected to the store yet; try again") { RetryAfter = TimeSpan.FromSeconds(1) };

    /// <summary>What the tenant of a call has in the store: all that the call may see.</summary>
    /// <exception cref="LrtMeshException">Unavailable: the role is still starting.</exception>
    public TenantStore Of(ServerCallContext context) => Store.For(Caller.Of(context).Tenant);

    /// <inheritdoc cref="MeshStore.TakeJobsAsync"/>
    public IAsyncEnumerable<(TenantStore Store, MapJob Job)> TakeJobsAsync(string worker, CancellationToken ct) => Store.TakeJobsAsync(worker, ct);

    /// <inheritdoc cref="MeshStore.CountOpenJobsAsync"/>
    public Task<long> CountOpenJobsAsync(CancellationToken ct) => Store.CountOpenJobsAsync(ct);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_store is not null)
        {
            await _store.DisposeAsync();
        }
    }

    internal async Task ConnectAsync(CancellationToken cancellation) => _store = await MeshStore.ConnectAsync(options.Redis, logger, cancellation);
}

using LrtMesh.Core;
using LrtMesh.Core.Store;
using Microsoft.Extensions.Logging;

namespace LrtMesh.ServiceDefaults;

/// <summary>The role's connection to the store, made while it starts.</summary>
public sealed class StoreConnection(RoleOptions options, ILogger<MeshStore> logger) : IAsyncDisposable
{
    private MeshStore? _store;

    /// <summary>The store.</summary>
    /// <exception cref="LrtMeshException">Unavailable: the role is still starting.</exception>
    public MeshStore Store => _store
        ?? throw new LrtMeshException(ErrorReason.Unavailable, "this server is starting and not connected to the store yet; try again") { RetryAfter = TimeSpan.FromSeconds(1) };

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

using LrtMesh.Core.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace LrtMesh.TestKit.Stores;

/// <summary>One server and one client for the tests of a class that break neither.</summary>
public sealed class StoreFixture<TServer> : IAsyncLifetime
    where TServer : StoreServer, new()
{
    private MeshStore? _store;

    /// <summary>The server; not running where it cannot be run.</summary>
    public TServer Server { get; } = new();

    /// <summary>The client.</summary>
    public MeshStore Store => _store ?? throw new InvalidOperationException(Server.Missing);

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        // A missing server skips tests, except in CI, where it must fail them.
        if (Server.Missing is null || Environment.GetEnvironmentVariable("CI") == "true")
        {
            await Server.StartAsync();
            _store = await MeshStore.ConnectAsync(Server.Address, NullLogger<MeshStore>.Instance, CancellationToken.None);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_store is not null)
        {
            await _store.DisposeAsync();
        }

        await Server.DisposeAsync();
    }
}

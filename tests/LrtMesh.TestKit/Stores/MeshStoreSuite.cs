using LrtMesh.Core;
using LrtMesh.Core.Store;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;
using Xunit;

namespace LrtMesh.TestKit.Stores;

/// <summary>What the tests of a store start from: a shared server, a client, and names of the test's own.</summary>
public abstract class MeshStoreSuite<TServer>(StoreFixture<TServer> fixture) : IClassFixture<StoreFixture<TServer>>, IAsyncLifetime
    where TServer : StoreServer, new()
{
    /// <summary>What the names of this test start with.</summary>
    protected string Prefix { get; } = Guid.NewGuid().ToString("N") + "/";

    /// <summary>The shared server.</summary>
    protected TServer Server => fixture.Server;

    /// <summary>A client of the shared server.</summary>
    protected MeshStore Store => fixture.Store;

    /// <summary>Ends with the test.</summary>
    protected static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <inheritdoc/>
    public ValueTask InitializeAsync()
    {
        Assert.SkipWhen(Server.Missing is not null, Server.Missing ?? "");
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    /// <summary>Another client, with a memory of its own.</summary>
    protected static Task<MeshStore> ConnectAsync(StoreServer server) =>
        MeshStore.ConnectAsync(server.Address, NullLogger<MeshStore>.Instance, Ct);

    /// <summary>Another client, which keeps older versions so long.</summary>
    protected static Task<MeshStore> ConnectAsync(StoreServer server, TimeSpan keepVersions) =>
        MeshStore.ConnectAsync(new StoreOptions(server.Address) { KeepVersions = keepVersions }, NullLogger<MeshStore>.Instance, Ct);

    /// <summary>The server without LrtMesh's client before it.</summary>
    protected async Task<IDatabase> RawAsync() => (await ConnectionMultiplexer.ConnectAsync(Server.Address)).GetDatabase();

    /// <summary>Where the header of a record's newest version lies.</summary>
    protected static string HeaderKey(string kind, string name) => $"lrtmesh:{kind}:{{{name}}}";

    /// <summary>Keys that belong to a record, without that of its newest version's header.</summary>
    protected async Task<string[]> KeysAsync(string kind, string name)
    {
        var database = await RawAsync();
        var keys = new List<string>();
        await foreach (var key in database.Multiplexer.GetServers()[0].KeysAsync(pattern: $"{HeaderKey(kind, name)}:*", pageSize: 1000))
        {
            keys.Add(key!);
        }

        return [.. keys];
    }

    /// <summary>Passes what fails for this reason, with these words in its message.</summary>
    protected static async Task FailsAsync(ErrorReason reason, string words, Func<Task> action)
    {
        var e = await Assert.ThrowsAsync<LrtMeshException>(action);
        Assert.Equal(reason, e.Reason);
        Assert.Contains(words, e.Message, StringComparison.Ordinal);
    }
}

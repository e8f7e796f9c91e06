using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.Services.Tests.Access;
using LrtMesh.TestKit.Stores;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;
using Xunit;

namespace LrtMesh.Services.Tests.Store;

/// <summary>Servers that are not set up as a store should be, or have become so.</summary>
public sealed class RedisSettingsTests : IAsyncLifetime
{
    private readonly List<RedisServerProcess> _servers = [];

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        var missing = new RedisServerProcess().Missing;
        Assert.SkipWhen(missing is not null, missing ?? "");
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var server in _servers)
        {
            await server.DisposeAsync();
        }
    }

    [Theory]
    [InlineData("always", "every acknowledged write is on disk")]
    [InlineData("everysec", "about the last second")]
    [InlineData("no", "a crash of the machine")]
    public async Task What_a_crash_leaves_is_said(string sync, string words)
    {
        await using var store = await ConnectAsync(await StartAsync("--appendfsync", sync));
        Assert.Contains(words, store.Durability, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_would_throw_records_away_is_refused()
    {
        var server = await StartAsync("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru");
        var error = await Assert.ThrowsAsync<LrtMeshException>(() => ConnectAsync(server));
        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
        Assert.Contains("maxmemory-policy allkeys-lru", error.Message, StringComparison.Ordinal);
        Assert.Contains("noeviction", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_would_throw_away_what_is_kept_for_a_time_is_warned_of()
    {
        var server = await StartAsync("--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru");
        using var logs = new RecordedLogs();
        using var factory = LoggerFactory.Create(logging => logging.AddProvider(logs));
        await using var store = await MeshStore.ConnectAsync(server.Address, factory.CreateLogger<MeshStore>(), Ct);
        Assert.Contains(logs.Lines, line => line.Contains("volatile-lru", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_full_server_refuses_writes_and_serves_on()
    {
        var server = await StartAsync("--maxmemory", "3mb");
        await using var store = await ConnectAsync(server);
        await store.Vectors.PutAsync(StoreSamples.Vector("v"), Ct);
        var error = await Assert.ThrowsAsync<LrtMeshException>(async () =>
        {
            for (var i = 0; ; i++)
            {
                await store.Maps.PutAsync(StoreSamples.Map($"m{i}", 1, 300, 400), Ct);
            }
        });
        Assert.Equal(ErrorReason.ResourceExhausted, error.Reason);
        Assert.Contains("maxmemory", error.Message, StringComparison.Ordinal);
        await using var other = await ConnectAsync(server);
        Assert.Equal(StoreSamples.Vector("v").Elements, (await other.Vectors.GetAsync("v", Ct)).Elements);
    }

    [Fact]
    public async Task A_replica_is_refused_at_start_and_said_to_be_one_when_a_server_becomes_it()
    {
        var (primary, server) = (await StartAsync(), await StartAsync());
        await using var store = await ConnectAsync(server);
        await store.Vectors.PutAsync(StoreSamples.Vector("v"), Ct);
        await using var raw = await ConnectionMultiplexer.ConnectAsync($"{server.Address},allowAdmin=true");
        var command = raw.GetServers()[0];
        await command.ExecuteAsync("REPLICAOF", primary.Address.Split(':')[0], primary.Address.Split(':')[1]);

        var error = await Assert.ThrowsAsync<LrtMeshException>(() => store.Vectors.PutAsync(StoreSamples.Vector("v", 2), Ct));
        Assert.Equal(ErrorReason.Unavailable, error.Reason);
        Assert.Contains("is a replica, which takes no writes", error.Message, StringComparison.Ordinal);
        Assert.NotNull(error.RetryAfter);
        error = await Assert.ThrowsAsync<LrtMeshException>(() => ConnectAsync(server));
        Assert.Equal(ErrorReason.Unavailable, error.Reason);
        Assert.Contains($"{server.Address} is a replica", error.Message, StringComparison.Ordinal);

        await command.ExecuteAsync("REPLICAOF", "NO", "ONE");
        await store.Vectors.PutAsync(StoreSamples.Vector("w", 2), Ct);
    }

    private async Task<RedisServerProcess> StartAsync(params string[] settings)
    {
        _servers.Add(new RedisServerProcess { Settings = settings });
        await _servers[^1].StartAsync();
        return _servers[^1];
    }

    private static Task<MeshStore> ConnectAsync(RedisServerProcess server) => MeshStore.ConnectAsync(server.Address, NullLogger<MeshStore>.Instance, Ct);
}

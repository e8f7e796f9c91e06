using System.Diagnostics;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.TestKit.Stores;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;
using Xunit;

namespace LrtMesh.Services.Tests.Store;

/// <summary>A store of several servers.</summary>
public sealed class RedisTopologyTests : IAsyncLifetime
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        var missing = new RedisServerProcess().Missing;
        Assert.SkipWhen(missing is not null, missing ?? "");
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    [Fact]
    public async Task With_Sentinel_the_store_follows_a_failover()
    {
        await using var primary = new RedisServerProcess();
        await primary.StartAsync();
        await using var replica = new RedisServerProcess { Settings = ["--replicaof", .. primary.Address.Split(':'), "--repl-diskless-sync-delay", "0"] };
        await replica.StartAsync();
        await using var sentinel = new RedisSentinelProcess(primary);
        await sentinel.StartAsync();
        await ReplicatesAsync(replica);
        // It hears of replicas from the primary, every ten seconds.
        await UntilAsync(async () =>
        {
            await using var raw = await ConnectionMultiplexer.SentinelConnectAsync(sentinel.Address);
            return (await raw.GetServers()[0].SentinelReplicasAsync(RedisSentinelProcess.ServiceName)).Length == 1;
        });

        await using var store = await MeshStore.ConnectAsync($"{sentinel.Address},serviceName={RedisSentinelProcess.ServiceName}", NullLogger<MeshStore>.Instance, Ct);
        await store.Vectors.PutAsync(StoreSamples.Vector("v"), Ct);
        await primary.KillAsync();
        await UntilAsync(async () =>
        {
            try
            {
                await store.Vectors.PutAsync(StoreSamples.Vector("w"), Ct);
                return true;
            }
            catch (LrtMeshException e) when (e.Reason == ErrorReason.Unavailable)
            {
                return false;
            }
        });

        // What was acknowledged before is there, on the server that was the replica.
        await using var other = await MeshStore.ConnectAsync(replica.Address, NullLogger<MeshStore>.Instance, Ct);
        Assert.Equal(["v", "w"], (await other.Vectors.ListAsync("", 0, "", Ct)).Items.Select(vector => vector.Name));
        Assert.Equal(StoreSamples.Vector("v").Elements, (await other.Vectors.GetAsync("v", Ct)).Elements);
    }

    [Fact]
    public async Task A_write_that_too_few_replicas_have_is_not_acknowledged()
    {
        await using var primary = new RedisServerProcess();
        await primary.StartAsync();
        await using var replica = new RedisServerProcess { Settings = ["--replicaof", .. primary.Address.Split(':'), "--repl-diskless-sync-delay", "0"] };
        await replica.StartAsync();
        await ReplicatesAsync(replica);
        await using var store = await MeshStore.ConnectAsync(new StoreOptions(primary.Address) { WaitReplicas = 1 }, NullLogger<MeshStore>.Instance, Ct);
        Assert.EndsWith("; writes wait for replicas to have them: 1", store.Durability, StringComparison.Ordinal);
        await store.Vectors.PutAsync(StoreSamples.Vector("v"), Ct);
        await using (var raw = await ConnectionMultiplexer.ConnectAsync($"{replica.Address},allowAdmin=true"))
        {
            Assert.True(await raw.GetDatabase().KeyExistsAsync("lrtmesh:vector:{v}")); // with no wait here
        }

        var job = await store.Jobs.CreateAsync(new V1.MapJob { Map = "m", State = V1.JobState.Pending }, new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct);
        await replica.KillAsync();
        await FailsAsync(() => store.Vectors.PutAsync(StoreSamples.Vector("v", 2), Ct));
        await FailsAsync(() => store.Vectors.DeleteAsync("v", Ct));
        await FailsAsync(() => store.Jobs.UpdateAsync(job.Id, current => current, Ct));
        using (var moments = new MemoryStream(new byte[10]))
        {
            await FailsAsync(() => store.Jobs.Files.WriteAsync(job.Id, JobFiles.Moments, moments, TimeSpan.FromHours(1), worker: null, Ct));
        }

        await replica.StartAsync();
        await ReplicatesAsync(replica);
        await store.Vectors.PutAsync(StoreSamples.Vector("v", 3), Ct);

        static async Task FailsAsync(Func<Task> write)
        {
            var error = await Assert.ThrowsAsync<LrtMeshException>(write);
            Assert.Equal(ErrorReason.Unavailable, error.Reason);
            Assert.Contains("is written and not replicated", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_cluster_holds_records_and_jobs_each_on_one_node()
    {
        await using var cluster = new RedisCluster();
        await cluster.StartAsync();
        await using var store = await ConnectAsync(cluster);
        await using var other = await ConnectAsync(cluster);
        Assert.Contains("every acknowledged write is on disk", store.Durability, StringComparison.Ordinal);

        // Many names, so that every node has some; of several pieces; replaced; deleted.
        string[] names = [.. Enumerable.Range(0, 12).Select(i => $"m{i:00}")];
        foreach (var name in names)
        {
            await store.Maps.PutAsync(StoreSamples.Map(name, 1, 300, 4000), Ct);
            await store.Maps.PutAsync(StoreSamples.Map(name, 2, 300, 4000), Ct);
            var read = await other.Maps.GetAsync(name, Ct);
            Assert.Equal((2ul, StoreSamples.Map(name, 2, 300, 4000).Info.Digest), (read.Info.Version, read.Info.Digest));
            Assert.Equal(StoreSamples.Map(name, 1, 300, 4000).Info.Digest, (await other.Maps.GetAsync(name, 1, Ct)).Info.Digest);
        }

        await store.Maps.DeleteAsync(names[0], Ct);
        Assert.Equal(names[1..], (await other.Maps.ListAsync("", 0, "", Ct)).Items.Select(map => map.Name));
        foreach (var node in cluster.Nodes)
        {
            await using var raw = await ConnectionMultiplexer.ConnectAsync($"{node.Address},allowAdmin=true");
            Assert.InRange(await raw.GetServer(node.Address).DatabaseSizeAsync(), 1, 6 * names.Length);
        }

        var job = await store.Jobs.CreateAsync(new V1.MapJob { Map = "m", State = V1.JobState.Pending }, new V1.CreateMapJobRequest { Map = "m" }, TimeSpan.FromHours(1), "request", Ct);
        await foreach (var (_, taken) in other.TakeJobsAsync("worker", Ct))
        {
            Assert.Equal((job.Id, 1u), (taken.Id, taken.Attempts));
            break;
        }

        using (var moments = new MemoryStream(new byte[9 << 20]))
        {
            Assert.True(await other.Jobs.Files.WriteAsync(job.Id, JobFiles.Moments, moments, TimeSpan.FromHours(1), "worker", Ct));
        }

        await using (var read = await store.Jobs.Files.ReadAsync(job.Id, JobFiles.Moments, Ct))
        {
            Assert.Equal(9 << 20, read!.Length);
        }

        var watched = store.Jobs.WatchAsync(job.Id, 0, Ct).ToArrayAsync(Ct).AsTask();
        await other.Jobs.UpdateAsync(
            job.Id,
            current =>
            {
                current.State = V1.JobState.Succeeded;
                return current;
            },
            Ct);
        Assert.Equal(V1.JobState.Succeeded, (await watched.WaitAsync(TimeSpan.FromSeconds(10), Ct))[^1].State);
    }

    private static Task<MeshStore> ConnectAsync(RedisCluster cluster) => MeshStore.ConnectAsync(cluster.Addresses, NullLogger<MeshStore>.Instance, Ct);

    private static Task ReplicatesAsync(RedisServerProcess replica) => UntilAsync(async () =>
    {
        await using var raw = await ConnectionMultiplexer.ConnectAsync($"{replica.Address},allowAdmin=true");
        return ((string)(await raw.GetServers()[0].ExecuteAsync("INFO", "replication"))!).Contains("master_link_status:up", StringComparison.Ordinal);
    });

    private static async Task UntilAsync(Func<Task<bool>> holds)
    {
        for (var clock = Stopwatch.StartNew(); !await holds(); await Task.Delay(200, Ct))
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(40), "it did not come to hold");
        }
    }
}

using System.Diagnostics;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace LrtMesh.TestKit.Stores;

/// <summary>A server that is killed, and one that comes back.</summary>
public abstract class OutageSuite<TServer>(StoreFixture<TServer> fixture) : MeshStoreSuite<TServer>(fixture)
    where TServer : StoreServer, new()
{
    private static readonly TimeSpan Soon = TimeSpan.FromSeconds(8);

    [Fact]
    public async Task Nothing_acknowledged_is_lost_when_the_server_is_killed()
    {
        await using var server = new TServer();
        await server.StartAsync();
        var acknowledged = new List<(string Name, ulong Version)>();
        V1.MapJob job;
        await using (var store = await ConnectAsync(server))
        {
            job = await store.Jobs.CreateAsync(new V1.MapJob { Map = "m", State = V1.JobState.Pending }, new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "request", Ct);
            await store.Maps.PutAsync(StoreSamples.Map("map", 3, 600, 2000), Ct);
            var writing = Task.Run(
                async () =>
                {
                    for (var i = 0; ; i++)
                    {
                        var put = await store.Vectors.PutAsync(StoreSamples.Vector($"v/{i % 7}", i), Ct);
                        acknowledged.Add((put.Info.Name, put.Info.Version));
                    }
                },
                Ct);
            await Task.Delay(1500, Ct);
            // In the middle of a write.
            await server.KillAsync();
            await FailsAsync(ErrorReason.Unavailable, server.Address, () => writing);
        }

        Assert.NotEmpty(acknowledged);
        await server.StartAsync();
        await using var again = await ConnectAsync(server);
        foreach (var versions in acknowledged.GroupBy(put => put.Name, put => put.Version))
        {
            // The write that was cut off may have been done too.
            var read = await again.Vectors.GetAsync(versions.Key, Ct);
            Assert.InRange(read.Info.Version, versions.Max(), versions.Max() + 1);
            // Those before are there as well, and whole.
            var kept = await again.Vectors.VersionsAsync(versions.Key, Ct);
            Assert.Equal((int)Math.Min(read.Info.Version, 9), kept.Count);
            foreach (var version in kept)
            {
                Assert.Equal(version.Digest, (await again.Vectors.GetAsync(versions.Key, version.Version, Ct)).Info.Digest);
            }
        }

        var map = StoreSamples.Map("map", 3, 600, 2000);
        Assert.Equal(map.Info.Digest, (await again.Maps.GetAsync("map", Ct)).Info.Digest);
        Assert.Equal(job, await again.Jobs.GetAsync(job.Id, Ct));
        Assert.Equal(job.Id, (await again.Jobs.CreateAsync(new V1.MapJob(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "request", Ct)).Id);
        Assert.Equal(acknowledged.Select(put => put.Name).Distinct().Order(), (await again.Vectors.ListAsync("", 0, "", Ct)).Items.Select(vector => vector.Name));
    }

    [Fact]
    public async Task With_the_server_gone_memory_serves_the_rest_fails_soon_and_all_works_when_it_is_back()
    {
        await using var server = new TServer();
        await server.StartAsync();
        await using var store = await ConnectAsync(server);
        await store.Vectors.PutAsync(StoreSamples.Vector("known", 3), Ct);
        var known = await store.Vectors.PutAsync(StoreSamples.Vector("known"), Ct);
        await store.Vectors.GetAsync("known", 1, Ct);
        await using (var other = await ConnectAsync(server))
        {
            await other.Vectors.PutAsync(StoreSamples.Vector("unknown"), Ct);
        }

        await server.KillAsync();
        Assert.Equal(known.Elements, (await SoonAsync(() => store.Vectors.GetAsync("known", Ct))).Elements);
        Assert.Equal(known.Elements, (await SoonAsync(() => store.Vectors.GetAsync("known", 2, Ct))).Elements);
        Assert.Equal(StoreSamples.Vector("known", 3).Elements, (await SoonAsync(() => store.Vectors.GetAsync("known", 1, Ct))).Elements);
        await FailsAsync(ErrorReason.Unavailable, server.Address, () => SoonAsync(() => store.Vectors.GetAsync("known", 3, Ct)));
        await FailsAsync(ErrorReason.Unavailable, server.Address, () => SoonAsync(() => store.Vectors.GetAsync("unknown", Ct)));
        await FailsAsync(ErrorReason.Unavailable, server.Address, () => SoonAsync(() => store.Vectors.PutAsync(StoreSamples.Vector("known", 2), Ct)));
        await FailsAsync(ErrorReason.Unavailable, server.Address, () => SoonAsync(() => store.Vectors.ListAsync("", 0, "", Ct)));
        await FailsAsync(ErrorReason.Unavailable, server.Address, () => SoonAsync(() => store.Jobs.CreateAsync(new V1.MapJob(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct)));
        await FailsAsync(ErrorReason.Unavailable, server.Address, () => SoonAsync(async () =>
        {
            await store.PingAsync(Ct);
            return 0;
        }));

        await server.StartAsync();
        var clock = Stopwatch.StartNew();
        while (!await AnswersAsync(store))
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), "the client did not connect again");
            await Task.Delay(100, Ct);
        }

        Assert.Equal(3ul, (await store.Vectors.PutAsync(StoreSamples.Vector("known", 2), Ct)).Info.Version);
        Assert.Equal(StoreSamples.Vector("unknown").Elements, (await store.Vectors.GetAsync("unknown", Ct)).Elements);
    }

    [Fact]
    public async Task A_server_that_hangs_is_given_up_soon_and_used_again_when_it_goes_on()
    {
        await using var server = new TServer();
        await server.StartAsync();
        await using var store = await MeshStore.ConnectAsync($"{server.Address},asyncTimeout=2000", NullLogger<MeshStore>.Instance, Ct);
        var known = await store.Vectors.PutAsync(StoreSamples.Vector("known"), Ct);
        await server.PauseAsync();
        Assert.Equal(known.Elements, (await SoonAsync(() => store.Vectors.GetAsync("known", Ct))).Elements);
        await FailsAsync(ErrorReason.Unavailable, server.Address, () => SoonAsync(() => store.Vectors.PutAsync(StoreSamples.Vector("other"), Ct)));

        await server.ResumeAsync();
        var clock = Stopwatch.StartNew();
        while (!await AnswersAsync(store))
        {
            Assert.True(clock.Elapsed < TimeSpan.FromSeconds(20), "the client did not connect again");
            await Task.Delay(100, Ct);
        }

        Assert.Equal(StoreSamples.Vector("other", 2).Elements, (await store.Vectors.PutAsync(StoreSamples.Vector("other", 2), Ct)).Elements);
    }

    [Fact]
    public async Task What_was_flushed_is_gone_and_not_served_from_memory()
    {
        await using var server = new TServer();
        await server.StartAsync();
        await using var store = await ConnectAsync(server);
        await store.Vectors.PutAsync(StoreSamples.Vector("v"), Ct);
        var job = await store.Jobs.CreateAsync(new V1.MapJob { Map = "m", State = V1.JobState.Pending }, new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct);
        await using var raw = await StackExchange.Redis.ConnectionMultiplexer.ConnectAsync($"{server.Address},allowAdmin=true");
        await raw.GetServers()[0].FlushAllDatabasesAsync();

        await FailsAsync(ErrorReason.NotFound, "\"v\"", () => store.Vectors.GetAsync("v", Ct));
        Assert.Empty((await store.Vectors.ListAsync("", 0, "", Ct)).Items);
        await FailsAsync(ErrorReason.NotFound, job.Id, () => store.Jobs.GetAsync(job.Id, Ct));
        Assert.Equal(0, await store.Jobs.Open.CountAsync(Ct));
        Assert.Equal(1ul, (await store.Vectors.PutAsync(StoreSamples.Vector("v", 2), Ct)).Info.Version);
    }

    [Fact]
    public async Task An_address_where_nothing_answers_is_named()
    {
        await using var server = new TServer();
        await FailsAsync(ErrorReason.Unavailable, server.Address, () => SoonAsync(() => ConnectAsync(server)));
        await FailsAsync(ErrorReason.InvalidArgument, "redis", () => MeshStore.ConnectAsync("", NullLogger<MeshStore>.Instance, Ct));
    }

    private static async Task<bool> AnswersAsync(MeshStore store)
    {
        try
        {
            await store.PingAsync(Ct);
            return true;
        }
        catch (LrtMeshException)
        {
            return false;
        }
    }

    private static async Task<T> SoonAsync<T>(Func<Task<T>> action) => await action().WaitAsync(Soon, Ct);
}

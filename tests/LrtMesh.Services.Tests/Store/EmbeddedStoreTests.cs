using System.Net;
using System.Net.Sockets;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.Standalone;
using LrtMesh.TestKit.Stores;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;
using Xunit;

namespace LrtMesh.Services.Tests.Store;

public sealed class EmbeddedStoreTests : IDisposable
{
    private const int Filled = 20;

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-embedded-").FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Started_again_on_the_same_folder_it_shows_all_data()
    {
        for (var start = 0; start < 3; start++)
        {
            await using var embedded = EmbeddedStore.Start(_folder, 0);
            await using var store = await ConnectAsync(embedded);
            Assert.Equal(start, (await store.Vectors.ListAsync("", 0, "", Ct)).Items.Count);
            await store.Vectors.PutAsync(StoreSamples.Vector($"v{start}", start + 1), Ct);
            for (var i = 0; i <= start; i++)
            {
                Assert.Equal(StoreSamples.Vector($"v{i}", i + 1).Elements, (await store.Vectors.GetAsync($"v{i}", Ct)).Elements);
            }
        }
    }

    [Fact]
    public async Task A_version_that_was_replaced_is_there_after_a_restart_and_still_has_its_time()
    {
        await using (var embedded = EmbeddedStore.Start(_folder, 0))
        {
            await using var store = await ConnectAsync(embedded);
            await store.Vectors.PutAsync(StoreSamples.Vector("v", 1), Ct);
            await store.Vectors.PutAsync(StoreSamples.Vector("v", 2), Ct);
        }

        await using var again = EmbeddedStore.Start(_folder, 0);
        await using var reader = await ConnectAsync(again);
        Assert.Equal(StoreSamples.Vector("v", 1).Elements, (await reader.Vectors.GetAsync("v", 1, Ct)).Elements);
        await using var raw = await ConnectionMultiplexer.ConnectAsync(again.Address);
        var database = raw.GetDatabase();
        foreach (var (header, day) in new[] { ("lrtmesh:vector:{v}", 0), ("lrtmesh:vector:{v}:v1", 1) })
        {
            foreach (var key in new[] { header, $"lrtmesh:vector:{{v}}:{await database.HashGetAsync(header, "write")}:0" })
            {
                var left = await database.KeyTimeToLiveAsync(key);
                Assert.True(day == 0 ? left is null : left is { TotalHours: > 23 and < 24.1 }, $"{key} stays for {left?.ToString() ?? "good"}");
            }
        }
    }

    [Fact]
    public async Task Many_times_a_page_is_there_after_a_restart()
    {
        // 96 MiB in all.
        const int Maps = 6;
        await using (var embedded = EmbeddedStore.Start(_folder, 0))
        {
            await using var store = await ConnectAsync(embedded);
            for (var i = 0; i < Maps; i++)
            {
                await store.Maps.PutAsync(StoreSamples.Map($"m{i}", i, 2048, 2048), Ct);
            }
        }

        await using var again = EmbeddedStore.Start(_folder, 0);
        await using var reader = await ConnectAsync(again);
        for (var i = 0; i < Maps; i++)
        {
            Assert.Equal(StoreSamples.Map($"m{i}", i, 2048, 2048).Info.Digest, (await reader.Maps.GetAsync($"m{i}", Ct)).Info.Digest);
        }
    }

    [Fact]
    public async Task It_listens_on_loopback_alone_and_says_what_survives()
    {
        await using var embedded = EmbeddedStore.Start(_folder, 0);
        var listening = System.Net.NetworkInformation.IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners();
        var port = IPEndPoint.Parse(embedded.Address).Port;
        Assert.All(listening.Where(end => end.Port == port), end => Assert.Equal(IPAddress.Loopback, end.Address));
        await using var store = await ConnectAsync(embedded);
        Assert.Contains("append-only file", store.Durability, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_in_use_is_refused_and_its_owner_goes_on()
    {
        await using var embedded = EmbeddedStore.Start(_folder, 0);
        var e = Assert.Throws<LrtMeshException>(() => EmbeddedStore.Start(_folder, 0));
        Assert.Equal(ErrorReason.FailedPrecondition, e.Reason);
        Assert.Contains(_folder, e.Message, StringComparison.Ordinal);
        Assert.Contains("in use", e.Message, StringComparison.Ordinal);
        await using var store = await ConnectAsync(embedded);
        await store.PingAsync(Ct);
    }

    [Fact]
    public void A_port_in_use_is_named()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        var e = Assert.Throws<LrtMeshException>(() => EmbeddedStore.Start(_folder, port));
        Assert.Equal(ErrorReason.FailedPrecondition, e.Reason);
        Assert.Contains($"port {port}", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_in_place_of_the_folder_is_named()
    {
        var file = Path.Combine(_folder, "file");
        File.WriteAllText(file, "");
        var e = Assert.Throws<LrtMeshException>(() => EmbeddedStore.Start(file, 0));
        Assert.Equal(ErrorReason.FailedPrecondition, e.Reason);
        Assert.Contains(file, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("emptied")]
    [InlineData("removed")]
    [InlineData("overwritten")]
    public async Task A_damaged_log_is_refused(string damage)
    {
        await FillAsync();
        var log = Assert.Single(Logs(), file => !file.Contains("commit", StringComparison.Ordinal));
        switch (damage)
        {
            case "emptied": File.WriteAllBytes(log, []); break;
            case "overwritten": File.WriteAllBytes(log, [.. Enumerable.Repeat((byte)0xA5, (int)new FileInfo(log).Length)]); break;
            default: File.Delete(log); break;
        }

        var e = Assert.Throws<LrtMeshException>(() => EmbeddedStore.Start(_folder, 0));
        Assert.Equal(ErrorReason.DataLoss, e.Reason);
        Assert.Contains(_folder, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Damaged_commit_records_are_made_anew_from_the_log()
    {
        await FillAsync();
        foreach (var commit in Logs().Where(file => file.Contains("commit", StringComparison.Ordinal)))
        {
            File.WriteAllBytes(commit, [.. Enumerable.Repeat((byte)0xA5, (int)new FileInfo(commit).Length)]);
        }

        await using var again = EmbeddedStore.Start(_folder, 0);
        await using var store = await ConnectAsync(again);
        for (var i = 0; i < Filled; i++)
        {
            Assert.Equal(StoreSamples.Vector($"v{i}", i).Elements, (await store.Vectors.GetAsync($"v{i}", Ct)).Elements);
        }
    }

    private async Task FillAsync()
    {
        await using var embedded = EmbeddedStore.Start(_folder, 0);
        await using var store = await ConnectAsync(embedded);
        for (var i = 0; i < Filled; i++)
        {
            await store.Vectors.PutAsync(StoreSamples.Vector($"v{i}", i), Ct);
        }
    }

    private string[] Logs() => Directory.GetFiles(Path.Combine(_folder, "AOF"), "*", SearchOption.AllDirectories);

    private static Task<MeshStore> ConnectAsync(EmbeddedStore embedded) =>
        MeshStore.ConnectAsync(embedded.Address, NullLogger<MeshStore>.Instance, Ct);
}

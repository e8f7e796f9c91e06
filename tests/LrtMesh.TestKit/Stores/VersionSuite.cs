using LrtMesh.Core;
using StackExchange.Redis;
using Xunit;

namespace LrtMesh.TestKit.Stores;

/// <summary>Versions that others have replaced, on every store.</summary>
public abstract class VersionSuite<TServer>(StoreFixture<TServer> fixture) : MeshStoreSuite<TServer>(fixture)
    where TServer : StoreServer, new()
{
    private string Name => Prefix + "v";

    [Fact]
    public async Task What_was_replaced_is_read_by_its_version_and_is_never_taken_for_the_newest()
    {
        for (var seed = 1; seed <= 5; seed++)
        {
            await Store.Vectors.PutAsync(StoreSamples.Vector(Name, seed, 60 + seed), Ct);
        }

        await using var other = await ConnectAsync(Server);
        foreach (var store in new[] { Store, other, other }) // the last reads from memory
        {
            for (var version = 1ul; version <= 5; version++)
            {
                var read = await store.Vectors.GetAsync(Name, version, Ct);
                Assert.Equal(version, read.Info.Version);
                Assert.Equal(StoreSamples.Vector(Name, (int)version, 60 + (int)version).Elements, read.Elements);
                Assert.Equal(5ul, (await store.Vectors.GetAsync(Name, Ct)).Info.Version);
            }
        }

        var versions = await other.Vectors.VersionsAsync(Name, Ct);
        Assert.Equal([5ul, 4, 3, 2, 1], versions.Select(version => version.Version));
        Assert.Equal((await other.Vectors.GetAsync(Name, 2, Ct)).Info, versions[3]);
        Assert.Equal(5ul, Assert.Single((await other.Vectors.ListAsync(Prefix, 0, "", Ct)).Items).Version);
        await MissingAsync(other, 6, "there is no version 6 of vector", "there is 5, the newest, 4, 3, 2, 1");
        // Put again, an older one is the newest.
        Assert.Equal(6ul, (await other.Vectors.PutAsync(await other.Vectors.GetAsync(Name, 2, Ct), Ct)).Info.Version);
        Assert.Equal(StoreSamples.Vector(Name, 2, 62).Elements, (await Store.Vectors.GetAsync(Name, Ct)).Elements);
    }

    [Fact]
    public async Task A_map_of_several_pieces_stays_whole()
    {
        await Store.Maps.PutAsync(StoreSamples.Map(Name, 1, 1100, 2100), Ct);
        await Store.Maps.PutAsync(StoreSamples.Map(Name, 2, 1100, 2100), Ct);
        await using var other = await ConnectAsync(Server);
        Assert.Equal(StoreSamples.Map(Name, 1, 1100, 2100).A, (await other.Maps.GetAsync(Name, 1, Ct)).A);
        Assert.Equal(StoreSamples.Map(Name, 2, 1100, 2100).A, (await other.Maps.GetAsync(Name, Ct)).A);
    }

    [Fact]
    public async Task It_is_collected_after_its_time_and_the_newest_stays()
    {
        await using var brief = await ConnectAsync(Server, TimeSpan.FromSeconds(2));
        await brief.Vectors.PutAsync(StoreSamples.Vector(Name, 1), Ct);
        await brief.Vectors.PutAsync(StoreSamples.Vector(Name, 2), Ct);
        Assert.Equal(StoreSamples.Vector(Name, 1).Elements, (await brief.Vectors.GetAsync(Name, 1, Ct)).Elements);
        var database = await RawAsync();
        foreach (var key in await KeysAsync("vector", Name))
        {
            // Two headers, the newest's being elsewhere, and two pieces: those of the newest stay for good.
            var left = await database.KeyTimeToLiveAsync(key);
            var newest = key.Contains($"{await database.HashGetAsync(HeaderKey("vector", Name), "write")}", StringComparison.Ordinal);
            Assert.Equal(newest, left is null);
            Assert.True(left is null || left <= TimeSpan.FromSeconds(62), $"{key} stays for {left}");
        }

        Assert.Null(await database.KeyTimeToLiveAsync(HeaderKey("vector", Name)));
        await Task.Delay(TimeSpan.FromSeconds(2.2), Ct);
        // It is in this client's memory.
        await MissingAsync(brief, 1, "there is no version 1 of vector", "there is 2, the newest");
        Assert.Equal([2ul], (await brief.Vectors.VersionsAsync(Name, Ct)).Select(version => version.Version));
        Assert.Equal(StoreSamples.Vector(Name, 2).Elements, (await Store.Vectors.GetAsync(Name, Ct)).Elements);
        Assert.DoesNotContain($"{HeaderKey("vector", Name)}:v1", await KeysAsync("vector", Name));
    }

    [Fact]
    public async Task The_oldest_goes_where_there_are_more_than_eight()
    {
        for (var seed = 1; seed <= 12; seed++)
        {
            await Store.Vectors.PutAsync(StoreSamples.Vector(Name, seed), Ct);
        }

        Assert.Equal(Enumerable.Range(4, 9).Reverse().Select(version => (ulong)version), (await Store.Vectors.VersionsAsync(Name, Ct)).Select(version => version.Version));
        await MissingAsync(Store, 3, "version 3");
        // A header and a piece each; the newest's header lies elsewhere.
        Assert.Equal(17, (await KeysAsync("vector", Name)).Length);
    }

    [Fact]
    public async Task Deleting_a_record_deletes_all_its_versions_for_every_client()
    {
        await using var other = await ConnectAsync(Server);
        for (var seed = 1; seed <= 3; seed++)
        {
            await Store.Vectors.PutAsync(StoreSamples.Vector(Name, seed), Ct);
            await other.Vectors.GetAsync(Name, (ulong)seed, Ct);
        }

        await other.Vectors.GetAsync(Name, 1, Ct);
        await Store.Vectors.DeleteAsync(Name, Ct);
        Assert.Empty(await KeysAsync("vector", Name));
        foreach (var store in new[] { Store, other })
        {
            await FailsAsync(ErrorReason.NotFound, "name: there is no vector", () => store.Vectors.GetAsync(Name, 1, Ct));
            await FailsAsync(ErrorReason.NotFound, "name: there is no vector", () => store.Vectors.VersionsAsync(Name, Ct));
        }

        // What comes under the name then is another record: it has a first version of its own.
        await Store.Vectors.PutAsync(StoreSamples.Vector(Name, 4), Ct);
        Assert.Equal(StoreSamples.Vector(Name, 4).Elements, (await other.Vectors.GetAsync(Name, 1, Ct)).Elements);
        await MissingAsync(other, 2, "there is 1, the newest");
    }

    [Fact]
    public async Task A_store_that_keeps_none_takes_what_was_kept_too()
    {
        await Store.Vectors.PutAsync(StoreSamples.Vector(Name, 1), Ct);
        await Store.Vectors.PutAsync(StoreSamples.Vector(Name, 2), Ct);
        await using var none = await ConnectAsync(Server, TimeSpan.Zero);
        await none.Vectors.PutAsync(StoreSamples.Vector(Name, 3), Ct);
        Assert.Single(await KeysAsync("vector", Name));
        await MissingAsync(Store, 1, "there is 3, the newest");
        await MissingAsync(Store, 2, "there is 3, the newest");
        Assert.Equal(StoreSamples.Vector(Name, 3).Elements, (await Store.Vectors.GetAsync(Name, Ct)).Elements);
    }

    [Theory]
    [InlineData("a piece with other bytes", "version 1 of vector")]
    [InlineData("no piece", "version 1 of vector")]
    [InlineData("another description", "version 1 of vector")]
    [InlineData("another note", "note of older versions")]
    public async Task A_damaged_version_is_refused_and_holds_up_no_other(string damage, string words)
    {
        for (var seed = 1; seed <= 3; seed++)
        {
            await Store.Vectors.PutAsync(StoreSamples.Vector(Name, seed), Ct);
        }

        var database = await RawAsync();
        var header = $"{HeaderKey("vector", Name)}:v1";
        RedisKey piece = $"{HeaderKey("vector", Name)}:{await database.HashGetAsync(header, "write")}:0";
        switch (damage)
        {
            case "a piece with other bytes": await database.StringSetRangeAsync(piece, 5, "x"); break;
            case "no piece": await database.KeyDeleteAsync(piece); break;
            case "another description": await database.HashSetAsync(header, "info", "x"); break;
            default: await database.HashSetAsync(HeaderKey("vector", Name), "older", "1:x:1"); break;
        }

        await using var other = await ConnectAsync(Server);
        await FailsAsync(ErrorReason.DataLoss, words, () => other.Vectors.GetAsync(Name, 1, Ct));
        Assert.Equal(StoreSamples.Vector(Name, 3).Elements, (await other.Vectors.GetAsync(Name, Ct)).Elements);
        Assert.Equal(StoreSamples.Vector(Name, 3).Elements, (await other.Vectors.GetAsync(Name, 3, Ct)).Elements);
        if (damage != "another note")
        {
            Assert.Equal(StoreSamples.Vector(Name, 2).Elements, (await other.Vectors.GetAsync(Name, 2, Ct)).Elements);
            await other.Vectors.DeleteAsync(Name, Ct);
            Assert.Empty(await KeysAsync("vector", Name));
        }
        else
        {
            // Stored again, it notes what it replaced; what it lost sight of expires.
            await other.Vectors.PutAsync(StoreSamples.Vector(Name, 4), Ct);
            Assert.Equal(StoreSamples.Vector(Name, 3).Elements, (await other.Vectors.GetAsync(Name, 3, Ct)).Elements);
            await MissingAsync(other, 1, "there is 4, the newest, 3");
            Assert.NotNull(await database.KeyTimeToLiveAsync(piece));
            Assert.NotNull(await database.KeyTimeToLiveAsync(header));
        }
    }

    [Fact]
    public async Task With_the_newest_damaged_those_before_it_are_read_and_stay_when_it_is_mended()
    {
        await Store.Vectors.PutAsync(StoreSamples.Vector(Name, 1), Ct);
        await Store.Vectors.PutAsync(StoreSamples.Vector(Name, 2), Ct);
        var database = await RawAsync();
        await database.HashDeleteAsync(HeaderKey("vector", Name), ["version", "info"]);

        await using var other = await ConnectAsync(Server);
        await FailsAsync(ErrorReason.DataLoss, Name, () => other.Vectors.GetAsync(Name, Ct));
        Assert.Equal(StoreSamples.Vector(Name, 1).Elements, (await other.Vectors.GetAsync(Name, 1, Ct)).Elements);
        Assert.Equal(2ul, (await other.Vectors.PutAsync(StoreSamples.Vector(Name, 3), Ct)).Info.Version);
        Assert.Equal(StoreSamples.Vector(Name, 1).Elements, (await other.Vectors.GetAsync(Name, 1, Ct)).Elements);
        Assert.Equal(3, (await KeysAsync("vector", Name)).Length); // of the damaged one nothing is left
    }

    [Fact]
    public async Task A_version_of_a_newer_schema_is_left_alone_and_says_so()
    {
        await Store.Vectors.PutAsync(StoreSamples.Vector(Name, 1), Ct);
        await Store.Vectors.PutAsync(StoreSamples.Vector(Name, 2), Ct);
        await (await RawAsync()).HashSetAsync($"{HeaderKey("vector", Name)}:v1", "schema", 2);
        await FailsAsync(ErrorReason.FailedPrecondition, "version 1 of vector", () => Store.Vectors.GetAsync(Name, 1, Ct));
        Assert.Equal(2ul, (await Store.Vectors.GetAsync(Name, Ct)).Info.Version);
    }

    /// <summary>Such a role knows neither the note nor the key of a version: it sets the fields that it knows, and deletes the pieces of what it replaces.</summary>
    [Fact]
    public async Task What_a_role_of_the_release_before_replaces_or_deletes_breaks_nothing()
    {
        await Store.Vectors.PutAsync(StoreSamples.Vector(Name, 1), Ct);
        await Store.Vectors.PutAsync(StoreSamples.Vector(Name, 2), Ct);
        await Store.Vectors.PutAsync(StoreSamples.Vector(Prefix + "source", 9), Ct);
        var database = await RawAsync();
        var header = HeaderKey("vector", Name);
        // Version 3, by the older role: the fields and pieces of another record of this name.
        var written = await Store.Vectors.GetAsync(Prefix + "source", Ct);
        var info = written.Info.Clone();
        (info.Name, info.Version) = (Name, 3);
        var write = Guid.NewGuid().ToString("N");
        await database.StringSetAsync($"{header}:{write}:0", await database.StringGetAsync($"{HeaderKey("vector", Prefix + "source")}:{await database.HashGetAsync(HeaderKey("vector", Prefix + "source"), "write")}:0"));
        await database.KeyDeleteAsync($"{header}:{await database.HashGetAsync(header, "write")}:0");
        using var digest = new ContentDigest();
        await database.HashSetAsync(
            header,
            [
                new("write", write), new("version", 3), new("info", Google.Protobuf.MessageExtensions.ToByteArray(info)),
                new("info_digest", digest.AddBytes(Google.Protobuf.MessageExtensions.ToByteArray(info)).Finish()),
                new("payload_digest", await database.HashGetAsync(HeaderKey("vector", Prefix + "source"), "payload_digest")),
            ]);

        await using var other = await ConnectAsync(Server);
        Assert.Equal(written.Elements, (await other.Vectors.GetAsync(Name, Ct)).Elements);
        Assert.Equal(StoreSamples.Vector(Name, 1).Elements, (await other.Vectors.GetAsync(Name, 1, Ct)).Elements);
        await MissingAsync(other, 2, "there is 3, the newest, 1");
        await other.Vectors.PutAsync(StoreSamples.Vector(Name, 4), Ct);
        Assert.Equal([4ul, 3, 1], (await other.Vectors.VersionsAsync(Name, Ct)).Select(version => version.Version));

        // It deletes the newest alone; the others have lost their record, and expire.
        await database.KeyDeleteAsync([header, $"{header}:{await database.HashGetAsync(header, "write")}:0"]);
        await FailsAsync(ErrorReason.NotFound, "name: there is no vector", () => other.Vectors.GetAsync(Name, 1, Ct));
        foreach (var key in await KeysAsync("vector", Name))
        {
            Assert.NotNull(await database.KeyTimeToLiveAsync(key));
        }

        await other.Vectors.PutAsync(StoreSamples.Vector(Name, 5), Ct);
        await other.Vectors.PutAsync(StoreSamples.Vector(Name, 6), Ct);
        Assert.Equal(StoreSamples.Vector(Name, 5).Elements, (await other.Vectors.GetAsync(Name, 1, Ct)).Elements);
        await MissingAsync(other, 3, "there is 2, the newest, 1");
    }

    private Task MissingAsync(Core.Store.MeshStore store, ulong version, params string[] words) =>
        Task.WhenAll(words.Select(part => FailsAsync(ErrorReason.NotFound, part, () => store.Vectors.GetAsync(Name, version, Ct))));
}

using LrtMesh.Core;
using LrtMesh.Core.Maps;
using StackExchange.Redis;
using Xunit;

namespace LrtMesh.TestKit.Stores;

/// <summary>Vectors and maps, on every store.</summary>
public abstract class RecordSuite<TServer>(StoreFixture<TServer> fixture) : MeshStoreSuite<TServer>(fixture)
    where TServer : StoreServer, new()
{
    [Fact]
    public async Task What_was_put_is_read_by_another_client()
    {
        var vector = StoreSamples.Vector(Prefix + "v");
        var put = await Store.Vectors.PutAsync(vector, Ct);
        await using var other = await ConnectAsync(Server);
        var read = await other.Vectors.GetAsync(Prefix + "v", Ct);

        Assert.Equal(1ul, put.Info.Version);
        Assert.NotNull(put.Info.StoredAt);
        Assert.Equal(put.Info, read.Info);
        Assert.Equal(vector.Elements, read.Elements);
        Assert.Equal(vector.Info.Digest, read.Info.Digest);
    }

    [Fact]
    public async Task A_map_of_several_pieces_comes_back_whole()
    {
        // 1100 × 2100 float32: 9.2 MB, two full pieces and a part; b lies at the end of the last.
        var map = StoreSamples.Map(Prefix + "m", 7, 1100, 2100);
        await Store.Maps.PutAsync(map, Ct);
        await using var other = await ConnectAsync(Server);
        var read = await other.Maps.GetAsync(Prefix + "m", Ct);

        Assert.True(map.A.AsSpan().SequenceEqual(read.A));
        Assert.True(map.B.AsSpan().SequenceEqual(read.B));
        Assert.Equal(map.Info.Digest, AffineMap.DigestOf(read.Info, read.A, read.B));
        Assert.Equal(3, (await KeysAsync("map", Prefix + "m")).Length);
    }

    [Fact]
    public async Task A_replacement_counts_up_and_is_seen_by_a_client_that_has_the_old_one()
    {
        await Store.Vectors.PutAsync(StoreSamples.Vector(Prefix + "v", 1), Ct);
        await using var other = await ConnectAsync(Server);
        await other.Vectors.GetAsync(Prefix + "v", Ct);
        var second = await Store.Vectors.PutAsync(StoreSamples.Vector(Prefix + "v", 2, 32), Ct);

        Assert.Equal(2ul, second.Info.Version);
        var read = await other.Vectors.GetAsync(Prefix + "v", Ct);
        Assert.Equal(second.Info, read.Info);
        Assert.Equal(second.Elements, read.Elements);
    }

    [Fact]
    public async Task A_deleted_record_is_gone_for_every_client()
    {
        await Store.Vectors.PutAsync(StoreSamples.Vector(Prefix + "v"), Ct);
        await using var other = await ConnectAsync(Server);
        await other.Vectors.GetAsync(Prefix + "v", Ct);
        await Store.Vectors.DeleteAsync(Prefix + "v", Ct);

        await FailsAsync(ErrorReason.NotFound, Prefix + "v", () => other.Vectors.GetAsync(Prefix + "v", Ct));
        await FailsAsync(ErrorReason.NotFound, Prefix + "v", () => Store.Vectors.DeleteAsync(Prefix + "v", Ct));
        Assert.Empty((await Store.Vectors.ListAsync(Prefix, 0, "", Ct)).Items);
        Assert.Empty(await KeysAsync("vector", Prefix + "v"));
    }

    [Fact]
    public async Task Lists_are_in_order_in_pages_and_by_prefix()
    {
        string[] names = ["a", "a/1", "a/2", "a/3", "b", "B", "z-9"];
        foreach (var name in names)
        {
            await Store.Vectors.PutAsync(StoreSamples.Vector(Prefix + name), Ct);
        }

        var seen = new List<string>();
        var token = "";
        do
        {
            var page = await Store.Vectors.ListAsync(Prefix, 3, token, Ct);
            Assert.True(page.Items.Count <= 3);
            seen.AddRange(page.Items.Select(vector => vector.Name[Prefix.Length..]));
            token = page.NextToken;
        }
        while (token.Length > 0);

        Assert.Equal(names.Order(StringComparer.Ordinal), seen);
        var some = await Store.Vectors.ListAsync(Prefix + "a/", 0, "", Ct);
        Assert.Equal(["a/1", "a/2", "a/3"], some.Items.Select(vector => vector.Name[Prefix.Length..]));
        Assert.Equal("", some.NextToken);
        await FailsAsync(ErrorReason.InvalidArgument, "page_token", () => Store.Vectors.ListAsync(Prefix + "a/", 2, "b", Ct));
        await FailsAsync(ErrorReason.InvalidArgument, "page_size", () => Store.Vectors.ListAsync(Prefix, 1001, "", Ct));
    }

    [Fact]
    public async Task A_name_without_a_record_is_not_listed_and_does_not_stay()
    {
        await Store.Vectors.PutAsync(StoreSamples.Vector(Prefix + "kept"), Ct);
        await Store.Vectors.PutAsync(StoreSamples.Vector(Prefix + "lost"), Ct);
        var database = await RawAsync();
        await database.KeyDeleteAsync(HeaderKey("vector", Prefix + "lost"));

        var page = await Store.Vectors.ListAsync(Prefix, 1, "", Ct);
        Assert.Equal(Prefix + "kept", Assert.Single(page.Items).Name);
        Assert.Empty((await Store.Vectors.ListAsync(Prefix, 1, page.NextToken, Ct)).Items);
        Assert.Null(await database.SortedSetScoreAsync("lrtmesh:{vectors}:names", Prefix + "lost"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("with space")]
    [InlineData("brace{d}")]
    [InlineData("ümlaut")]
    public async Task A_name_that_cannot_be_stored_is_refused(string name)
    {
        await FailsAsync(ErrorReason.InvalidArgument, "name: must be 1 to 128", () => Store.Vectors.PutAsync(StoreSamples.Vector(name), Ct));
        await FailsAsync(ErrorReason.InvalidArgument, "name: must be 1 to 128", () => Store.Vectors.GetAsync(name, Ct));
        await FailsAsync(ErrorReason.InvalidArgument, "name: must be 1 to 128", () => Store.Maps.DeleteAsync(name, Ct));
    }

    [Fact]
    public async Task Writers_of_one_name_never_mix_and_readers_see_one_of_them_whole()
    {
        const int Writers = 4;
        const int Writes = 5;
        await using var other = await ConnectAsync(Server);
        await Store.Maps.PutAsync(StoreSamples.Map(Prefix + "m", 1), Ct);
        var writers = Enumerable.Range(0, Writers).Select(async writer =>
        {
            var store = writer % 2 == 0 ? Store : other;
            for (var i = 0; i < Writes; i++)
            {
                await store.Maps.PutAsync(StoreSamples.Map(Prefix + "m", writer * 10 + i, 24 + writer, 32), Ct);
            }
        }).ToArray();
        var written = Task.WhenAll(writers);

        var last = 0ul;
        await using var reader = await ConnectAsync(Server);
        while (!written.IsCompleted)
        {
            var read = await reader.Maps.GetAsync(Prefix + "m", Ct);
            Assert.Equal(read.Info.Digest, AffineMap.DigestOf(read.Info, read.A, read.B));
            Assert.True(read.Info.Version >= last);
            last = read.Info.Version;
        }

        await written;
        Assert.Equal(1ul + Writers * Writes, (await reader.Maps.GetAsync(Prefix + "m", Ct)).Info.Version);
        // Each write of a lost race went through in the end, and those that are not kept are gone with their pieces: each has a header and a piece.
        var versions = await reader.Maps.VersionsAsync(Prefix + "m", Ct);
        Assert.Equal(Enumerable.Range(0, 9).Select(i => 1ul + Writers * Writes - (ulong)i), versions.Select(version => version.Version));
        Assert.Equal(versions.Count * 2 - 1, (await KeysAsync("map", Prefix + "m")).Length);
        foreach (var version in versions)
        {
            var read = await reader.Maps.GetAsync(Prefix + "m", version.Version, Ct);
            Assert.Equal(version, read.Info);
            Assert.Equal(version.Digest, AffineMap.DigestOf(read.Info, read.A, read.B));
        }
    }

    [Theory]
    [InlineData("a piece with other bytes", "digest")]
    [InlineData("a piece too short", "piece 0")]
    [InlineData("a piece too long", "piece 0")]
    [InlineData("no piece", "missing")]
    [InlineData("another schema", "schema version is 0")]
    [InlineData("no schema", "schema version")]
    [InlineData("another length", "do not fit the widths")]
    [InlineData("a huge length", "length")]
    [InlineData("another number of pieces", "pieces")]
    [InlineData("another description", "description")]
    [InlineData("another kind of value", "another kind of value")]
    public async Task A_damaged_record_is_refused_by_name(string damage, string words)
    {
        var name = Prefix + "v";
        await Store.Vectors.PutAsync(StoreSamples.Vector(name), Ct);
        var database = await RawAsync();
        var header = HeaderKey("vector", name);
        RedisKey piece = $"{header}:{await database.HashGetAsync(header, "write")}:0";
        var bytes = (byte[])(await database.StringGetAsync(piece))!;
        switch (damage)
        {
            case "a piece with other bytes": bytes[5] ^= 1; await database.StringSetAsync(piece, bytes); break;
            case "a piece too short": await database.StringSetAsync(piece, bytes[..^4]); break;
            case "a piece too long": await database.StringSetAsync(piece, (byte[])[.. bytes, 0, 0, 0, 0]); break;
            case "no piece": await database.KeyDeleteAsync(piece); break;
            case "another schema": await database.HashSetAsync(header, "schema", 0); break;
            case "no schema": await database.HashDeleteAsync(header, "schema"); break;
            case "another length": await database.HashSetAsync(header, "length", bytes.Length * 2); break;
            case "a huge length": await database.HashSetAsync(header, [new("length", 1L << 50), new("pieces", 1L << 28)]); break;
            case "another number of pieces": await database.HashSetAsync(header, "pieces", 2); break;
            case "another description":
                await database.HashSetAsync(header, "info", (byte[])[.. (byte[])(await database.HashGetAsync(header, "info"))!, 8, 1]);
                break;
            default: await database.KeyDeleteAsync(header); await database.StringSetAsync(header, "x"); break;
        }

        // A client that has it in memory has checked it: it may go on with what it has, but no other may start.
        await using var other = await ConnectAsync(Server);
        var e = await Assert.ThrowsAsync<LrtMeshException>(() => other.Vectors.GetAsync(name, Ct));
        Assert.Equal(ErrorReason.DataLoss, e.Reason);
        Assert.Contains(name, e.Message, StringComparison.Ordinal);
        Assert.Contains(words, e.Message, StringComparison.Ordinal);

        if (damage != "another kind of value")
        {
            await other.Vectors.PutAsync(StoreSamples.Vector(name, 2), Ct);
            Assert.Equal(2ul, (await other.Vectors.GetAsync(name, Ct)).Info.Version);
        }
    }

    [Fact]
    public async Task A_record_of_a_newer_version_is_left_alone_and_says_so()
    {
        var name = Prefix + "v";
        await Store.Vectors.PutAsync(StoreSamples.Vector(name), Ct);
        var database = await RawAsync();
        await database.HashSetAsync(HeaderKey("vector", name), "schema", 2);
        var before = await FieldsAsync();

        Func<Task>[] all =
        [
            () => Store.Vectors.GetAsync(name, Ct), () => Store.Vectors.PutAsync(StoreSamples.Vector(name, 2), Ct),
            () => Store.Vectors.DeleteAsync(name, Ct), () => Store.Vectors.ListAsync(Prefix, 0, "", Ct),
        ];
        foreach (var call in all)
        {
            await FailsAsync(ErrorReason.FailedPrecondition, "newer version of LrtMesh (record schema 2, and this one knows 1)", call);
        }

        Assert.Equal(before, await FieldsAsync());
        // All that belongs to it is there as well.
        await database.HashSetAsync(HeaderKey("vector", name), "schema", 1);
        await using var other = await ConnectAsync(Server);
        Assert.Equal(StoreSamples.Vector(name).Elements, (await other.Vectors.GetAsync(name, Ct)).Elements);

        async Task<HashEntry[]> FieldsAsync() => [.. (await database.HashGetAllAsync(HeaderKey("vector", name))).OrderBy(field => (string)field.Name!, StringComparer.Ordinal)];
    }
}

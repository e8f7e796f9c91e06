using System.Net;
using Google.Protobuf;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.V1;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>The C# client reads chunks where they were received, from any server: as they come from this one, and as protobuf lets others write them.</summary>
public sealed class ChunkEncodingTests
{
    private const int Width = 4;
    private static readonly byte[] Row = [.. Enumerable.Range(1, Width * sizeof(float)).Select(i => (byte)i)];
    private static readonly uint Checksum = Crc32C.Compute(Row);

    public static TheoryData<string, byte[]> Encodings => new()
    {
        { "as this server writes them", Message(Fields(Row, Checksum)) },
        { "with zeros written out", Message([8, 0, 16, 0, .. Fields(Row, Checksum)]) },
        { "in another order", Message([.. Fields(null, Checksum), .. Fields(Row, null)]) },
        { "data twice, of which the last counts", Message([.. Fields([9, 9], null), .. Fields(Row, Checksum)]) },
        { "with a field of a later contract in the chunk", Message([.. Fields(Row, Checksum), 0xA0, 0x06, 5]) },
        { "with a field of a later contract beside the chunk", [.. Message(Fields(Row, Checksum)), 0xA0, 0x06, 5] },
        { "in two parts, which are one", [.. Message(Fields(Row, null)), .. Message(Fields(null, Checksum))] },
    };

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [MemberData(nameof(Encodings))]
    public async Task A_chunk_is_read_as_it_was_meant(string how, byte[] chunk)
    {
        var blocks = await ReadAsync(chunk);
        Assert.True(blocks is [var only] && only.Bytes[0].Span.SequenceEqual(Row), how);
    }

    [Fact]
    public async Task A_damaged_chunk_is_refused_by_name()
    {
        var error = await Assert.ThrowsAsync<BrokenTensorException>(() => ReadAsync(Message(Fields(Row, Checksum + 1))));
        Assert.Contains("wrong crc32c", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new byte[] { 0x1A, 3, 0x1A, 9, 1 })] // data longer than the chunk
    [InlineData(new byte[] { 0x1A, 0x7F, 0x1A, 1, 1 })] // a chunk longer than the message
    public async Task What_is_no_protobuf_fails_the_call(byte[] chunk) => await Assert.ThrowsAsync<RpcException>(() => ReadAsync(chunk));

    [Fact]
    public async Task Blocks_that_are_not_given_back_stay_as_they_are_and_others_may()
    {
        byte[][] rows = [.. Enumerable.Range(0, 20).Select(i => Enumerable.Repeat((byte)i, Row.Length).ToArray())];
        var kept = await ReadAsync([.. rows.Select(row => Message(Fields(row, Crc32C.Compute(row))))], block => block.Labels.Position[0] % 2 == 1);
        Assert.All(kept.Where(block => block.Labels.Position[0] % 2 == 0), block => Assert.Equal(rows[block.Labels.Position[0]], block.Bytes[0].ToArray()));
    }

    /// <summary>The fields `data` and `crc32c` of a chunk, those that are given.</summary>
    private static byte[] Fields(byte[]? data, uint? checksum) =>
        [.. data is null ? [] : (byte[])[0x1A, (byte)data.Length, .. data], .. checksum is null ? [] : (byte[])[0x25, .. BitConverter.GetBytes(checksum.Value)]];

    private static byte[] Message(byte[] chunk) => [0x1A, (byte)chunk.Length, .. chunk];

    private static Task<List<HiddenStates>> ReadAsync(params byte[][] chunks) => ReadAsync(chunks, _ => false);

    /// <summary>Reads blocks of a row, each of one chunk, from a server that sends bytes as they are.</summary>
    private static async Task<List<HiddenStates>> ReadAsync(byte[][] chunks, Predicate<HiddenStates> giveBack)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2));
        await using var server = builder.Build();
        server.MapPost("/lrtmesh.v1.ExtractionService/ExtractHiddenStates", context => AnswerAsync(context, chunks));
        await server.StartAsync(Ct);
        using var channel = MeshChannel.Open(server.Urls.First());
        var blocks = new List<HiddenStates>();
        await foreach (var block in new ExtractionService.ExtractionServiceClient(channel).ReadHiddenStatesAsync(new() { Layers = { 0 } }, [], cancellation: Ct))
        {
            blocks.Add(block);
            if (giveBack(block))
            {
                block.Dispose();
            }
        }

        return blocks;
    }

    private static async Task AnswerAsync(HttpContext context, byte[][] chunks)
    {
        context.Response.ContentType = "application/grpc";
        await SendAsync(new ExtractHiddenStatesResponse { Started = new() { Width = Width } }.ToByteArray());
        for (var i = 0; i < chunks.Length; i++)
        {
            var header = new TensorHeader { Dtype = Dtype.Float32, Shape = { 1, Width }, ByteLength = (ulong)Row.Length };
            var rows = new RowBlock { Sequence = { 0 }, Position = { (uint)i }, TokenId = { 0 }, CharStart = { 0 }, CharEnd = { 0 }, Layers = { header } };
            await SendAsync(new ExtractHiddenStatesResponse { Rows = rows }.ToByteArray());
            await SendAsync(chunks[i]);
        }

        context.Response.AppendTrailer("grpc-status", "0");

        // Not compressed, and the length of 4 bytes.
        async Task SendAsync(byte[] message) => await context.Response.Body.WriteAsync((byte[])[0, 0, 0, 0, (byte)message.Length, .. message], Ct);
    }
}

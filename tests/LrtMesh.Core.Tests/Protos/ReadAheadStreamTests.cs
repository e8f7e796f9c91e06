using System.Net;
using System.Net.Sockets;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Protos;

/// <summary>A connection that is read in large pieces gives the bytes that came, however they came and are asked for.</summary>
public sealed class ReadAheadStreamTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_is_sent_is_read_in_pieces_of_any_size()
    {
        var (near, far) = await ConnectAsync();
        await using var reader = new ReadAheadStream(near);
        var sent = new byte[3_000_000];
        Random.Shared.NextBytes(sent);
        var sending = Task.Run(
            async () =>
            {
                for (var at = 0; at < sent.Length;)
                {
                    var length = Math.Min(1 << Random.Shared.Next(20), sent.Length - at);
                    await far.WriteAsync(sent.AsMemory(at, length), Ct);
                    at += length;
                }

                await far.DisposeAsync();
            },
            Ct);
        var (read, piece) = (new MemoryStream(), new byte[1 << 19]);
        while (await reader.ReadAsync(piece.AsMemory(0, 1 + Random.Shared.Next(1 << Random.Shared.Next(20))), Ct) is > 0 and var count)
        {
            read.Write(piece, 0, count);
        }

        await sending;
        Assert.Equal(sent, read.ToArray());
    }

    [Fact]
    public async Task What_has_come_is_not_waited_for()
    {
        var (near, far) = await ConnectAsync();
        await using var reader = new ReadAheadStream(near);
        await far.WriteAsync(new byte[10], Ct);
        Assert.Equal(4, await reader.ReadAsync(new byte[4], Ct));
        Assert.Equal(0, await reader.ReadAsync(Memory<byte>.Empty, Ct));
        Assert.Equal(6, await reader.ReadAsync(new byte[100], Ct));
        await far.DisposeAsync();
    }

    [Fact]
    public async Task What_is_written_goes_through_and_a_read_can_be_cancelled()
    {
        var (near, far) = await ConnectAsync();
        await using var reader = new ReadAheadStream(near);
        await reader.WriteAsync("said"u8.ToArray(), Ct);
        await reader.FlushAsync(Ct);
        var heard = new byte[4];
        await far.ReadExactlyAsync(heard, Ct);
        Assert.Equal("said"u8, heard);
        using var soon = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await reader.ReadExactlyAsync(new byte[1], soon.Token));
        await far.WriteAsync(new byte[] { 7 }, Ct);
        Assert.Equal(1, await reader.ReadAtLeastAsync(new byte[9], 1, cancellationToken: Ct));
        await far.DisposeAsync();
    }

    private static async Task<(NetworkStream Near, NetworkStream Far)> ConnectAsync()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(listener.LocalEndpoint, Ct);
        return (new NetworkStream(socket, ownsSocket: true), new NetworkStream(await listener.AcceptSocketAsync(Ct), ownsSocket: true));
    }
}

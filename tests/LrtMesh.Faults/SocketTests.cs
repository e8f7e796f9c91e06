using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Google.Protobuf;
using Grpc.Core;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>Connections on which no client speaks that means well.</summary>
public sealed class SocketTests(FaultTable table, FaultMesh mesh) : FaultTests(table, mesh)
{
    private const int FrameHeader = 9;

    private static readonly byte[] Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray();

    private enum Frame : byte
    {
        Data = 0,
        Headers = 1,
        Settings = 4,
    }

    [Fact]
    public Task Half_open_connections() => Table.RunAsync(
        "half-open connections",
        "calls of others are served beside them; each takes little memory; at most --max-connections are held, and none once its client is gone",
        async () =>
        {
            var (count, most) = FaultTable.Size((300, 200), (3_000, 900));
            await using var role = Mesh.OneMoreMapping("--max-connections", $"{most}");
            await role.StartAsync();
            using var client = new Client.MeshClient(new(role.Address, role.Address, role.Address));
            await ReadAsync();
            var before = role.Resident;
            var sockets = new List<Socket>();
            byte[][] beginnings = [[], Preface[..10], Preface, [.. Preface, .. Framed(Frame.Settings, 0, [])[..4]], [.. Preface, .. Framed(Frame.Settings, 0, []), .. Framed(Frame.Headers, 4, Headers())], Call([])[..^1]];
            for (var i = 0; i < count; i++)
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                sockets.Add(socket);
                await socket.ConnectAsync(IPAddress.Loopback, role.Port, Ct);
                await SendAsync(socket, beginnings[i % beginnings.Length]);
            }

            var beside = new Endings();
            for (var i = 0; i < 200; i++)
            {
                await beside.CountAsync(ReadAsync);
            }

            var (grown, closed) = (role.Resident - before, 0);
            foreach (var socket in sockets)
            {
                closed += await IsClosedAsync(socket) ? 1 : 0;
                socket.Dispose();
            }

            // Now that they are gone there is room for as many again.
            var anew = 0;
            for (var wait = 0; anew == 0 && wait < 50; wait++)
            {
                await Task.Delay(100, Ct);
                using var fresh = new Client.MeshClient(new(role.Address, role.Address, role.Address));
                anew = await beside.CountAsync(async () => await fresh.Vectors.ListVectorsAsync(new() { PageSize = 1 }, cancellationToken: Ct)) == StatusCode.OK ? 1 : 0;
            }

            var failed = beside.Total - beside[StatusCode.OK];
            return new(
                count,
                $"{count} connections that say nothing, or half of something: {closed} closed by the role, for being more than {most} or for stopping amid a message; calls beside them: {beside}; memory {Megabytes(grown)} more; once they were gone {anew} of 1 new connections served",
                failed,
                beside[StatusCode.OK] >= 200 && closed >= count - (most - 1) && grown < 64L << 20 && anew == 1 && role.IsRunning);

            async Task ReadAsync() => await client.Vectors.ListVectorsAsync(new() { PageSize = 1 }, deadline: DateTime.UtcNow.AddSeconds(10), cancellationToken: Ct);
        });

    [Fact]
    public Task Malformed_frames() => Table.RunAsync(
        "malformed frames at the socket (fuzzed)",
        "the process lives, grows little, and serves the calls of others",
        async () =>
        {
            var count = FaultTable.Size(3_000, 100_000);
            await using var role = Mesh.OneMoreMapping();
            await role.StartAsync();
            using var client = new Client.MeshClient(new(role.Address, role.Address, role.Address));
            var message = new PutVectorRequest
            {
                Vector = new() { Name = "fuzz", Model = "target", Provenance = new() { Method = VectorMethod.Given } }, Elements = TensorCodec.Encode([1, 2, 3, 4, 5, 6, 7, 8], 8),
            }.ToByteArray();
            await SentAsync(Call(message), milliseconds: 5_000); // unharmed: it must be understood, or the harm proves nothing
            var understood = (await client.Vectors.GetVectorAsync(new() { Name = "fuzz" }, cancellationToken: Ct)).Vector.Width == 8;
            for (var warm = 0; warm < 200; warm++)
            {
                await SentAsync(Harmed(new Random(-warm), message));
            }

            var (before, answered, next, beside) = (role.Resident, 0, -1, new Endings());
            await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(
                async () =>
                {
                    for (var i = Interlocked.Increment(ref next); i < count; i = Interlocked.Increment(ref next))
                    {
                        if (await SentAsync(Harmed(new Random(i), message)) > 0)
                        {
                            Interlocked.Increment(ref answered);
                        }

                        if (i % 100 == 0)
                        {
                            await beside.CountAsync(async () => await client.Vectors.GetVectorAsync(new() { Name = "fuzz" }, deadline: DateTime.UtcNow.AddSeconds(20), cancellationToken: Ct));
                        }
                    }
                },
                Ct)));
            var grown = role.Resident - before;
            var failed = beside.Total - beside[StatusCode.OK];
            return new(
                count,
                $"{count:N0} connections, {answered:N0} of them answered with something; calls beside them: {beside}; {role.Failures:N0} errors in its log; memory {Megabytes(grown)} more",
                failed,
                understood && role.IsRunning && failed == 0 && beside.Total > 0 && grown < 128L << 20);

            async Task<int> SentAsync(byte[] bytes, int milliseconds = 100)
            {
                using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(IPAddress.Loopback, role.Port, Ct);
                await SendAsync(socket, bytes);
                var (received, buffer) = (0, new byte[4096]);
                try
                {
                    using var patience = CancellationTokenSource.CreateLinkedTokenSource(Ct);
                    patience.CancelAfter(milliseconds);
                    for (int read; (read = await socket.ReceiveAsync(buffer, patience.Token)) > 0;)
                    {
                        received += read;
                    }
                }
                catch (Exception e) when (e is SocketException or OperationCanceledException)
                {
                    // Reset, or still waiting for the rest.
                }

                return received;
            }
        });

    /// <summary>A call with some bytes that are others, anywhere or in one of its parts; or no call at all.</summary>
    private static byte[] Harmed(Random random, byte[] message)
    {
        byte[] bytes;
        switch (random.Next(5))
        {
            case 0:
                bytes = new byte[random.Next(1, 500)];
                random.NextBytes(bytes);
                return random.Next(2) == 0 ? bytes : [.. Preface, .. bytes];
            case 1: // the message, in frames that are right
                bytes = [.. message];
                Flip(bytes, 0);
                return Call(bytes);
            case 2: // its length, as gRPC says it
                bytes = Call(message);
                random.NextBytes(bytes.AsSpan(bytes.Length - message.Length - 5, 5));
                return bytes;
            case 3: // frames of random kinds
                bytes = [.. Preface, .. Framed(Frame.Settings, 0, [])];
                for (var frames = random.Next(1, 8); frames > 0; frames--)
                {
                    var body = new byte[random.Next(40)];
                    random.NextBytes(body);
                    bytes = [.. bytes, .. Framed((Frame)random.Next(12), (byte)random.Next(256), body, random.Next(4))];
                }

                return bytes;
            default:
                bytes = Call(message);
                Flip(bytes, Preface.Length);
                return bytes[..random.Next(Preface.Length, bytes.Length + 1)];
        }

        void Flip(byte[] within, int from)
        {
            for (var changes = random.Next(1, 6); changes > 0; changes--)
            {
                within[random.Next(from, within.Length)] ^= (byte)random.Next(1, 256);
            }
        }
    }

    /// <summary>A whole connection: preface, settings, and one call of PutVector with this message.</summary>
    private static byte[] Call(byte[] message)
    {
        var prefixed = new byte[5 + message.Length];
        BinaryPrimitives.WriteInt32BigEndian(prefixed.AsSpan(1), message.Length);
        message.CopyTo(prefixed, 5);
        return [.. Preface, .. Framed(Frame.Settings, 0, []), .. Framed(Frame.Headers, 4, Headers()), .. Framed(Frame.Data, 1, prefixed)];
    }

    private static byte[] Framed(Frame kind, byte flags, byte[] body, int? stream = null)
    {
        var frame = new byte[FrameHeader + body.Length];
        BinaryPrimitives.WriteInt32BigEndian(frame, body.Length << 8);
        (frame[3], frame[4]) = ((byte)kind, flags);
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), stream ?? (kind == Frame.Settings ? 0 : 1));
        body.CopyTo(frame, FrameHeader);
        return frame;
    }

    /// <summary>The call's headers (HPACK, RFC 7541): indexed where the static table has them, literal without indexing otherwise.</summary>
    private static byte[] Headers() =>
    [
        0x83, 0x86, // :method POST, :scheme http
        0x04, .. Text("/lrtmesh.v1.VectorService/PutVector"), // :path
        0x01, .. Text("localhost"), // :authority
        0x0f, 0x10, .. Text("application/grpc"), // content-type
        0x00, .. Text("te"), .. Text("trailers"),
    ];

    private static byte[] Text(string text) => [(byte)text.Length, .. Encoding.ASCII.GetBytes(text)];

    private static async Task SendAsync(Socket socket, byte[] bytes)
    {
        try
        {
            await socket.SendAsync(bytes, Ct);
        }
        catch (SocketException)
        {
            // Closed on the other side.
        }
    }

    private static async Task<bool> IsClosedAsync(Socket socket)
    {
        try
        {
            var buffer = new byte[4096];
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(Ct);
            patience.CancelAfter(50);
            while (await socket.ReceiveAsync(buffer, patience.Token) > 0)
            {
                // The server's settings.
            }

            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
        catch (SocketException)
        {
            return true;
        }
    }
}

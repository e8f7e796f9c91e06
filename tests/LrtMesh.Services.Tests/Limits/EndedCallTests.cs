using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Client;
using LrtMesh.V1;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;
using Xunit;

namespace LrtMesh.Services.Tests.Limits;

/// <summary>What a C# client is told of a call that ended early, by a server that writes what a test wants, over real connections.</summary>
public sealed class EndedCallTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly WebApplication _server;
    private RequestDelegate _answer = _ => Task.CompletedTask;

    public EndedCallTests()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.Http2.MaxStreamsPerConnection = 10_000; // twice as many are remembered before Kestrel's guard against resets closes the connection
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2);
        });
        _server = builder.Build();
        _server.Run(context =>
        {
            context.Response.ContentType = "application/grpc";
            return _answer(context);
        });
    }

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync() => await _server.StartAsync(Ct);

    public ValueTask DisposeAsync() => _server.DisposeAsync();

    [Theory]
    [InlineData(true, StatusCode.DeadlineExceeded)]
    [InlineData(false, StatusCode.Cancelled)]
    public async Task A_call_that_is_given_up_amid_its_reads_is_never_a_lost_connection(bool byDeadline, StatusCode expected)
    {
        _answer = async context =>
        {
            var message = Framed([], 0);
            try
            {
                while (true)
                {
                    await context.Response.Body.WriteAsync(message, context.RequestAborted);
                }
            }
            catch (OperationCanceledException)
            {
                // Given up.
            }
        };
        using var channel = MeshChannel.Open(_server.Urls.Single());
        var (generation, endings, next) = (new GenerationService.GenerationServiceClient(channel), new ConcurrentDictionary<string, int>(), -1);
        await Task.WhenAll(Enumerable.Range(0, 32).Select(worker => Task.Run(
            async () =>
            {
                var random = new Random(worker);
                while (Interlocked.Increment(ref next) < 500)
                {
                    using var cancel = new CancellationTokenSource();
                    var patience = TimeSpan.FromMilliseconds(random.Next(20, 80));
                    if (!byDeadline)
                    {
                        cancel.CancelAfter(patience);
                    }

                    using var call = generation.Generate(new(), deadline: byDeadline ? DateTime.UtcNow + patience : null, cancellationToken: cancel.Token);
                    var error = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(call));
                    endings.AddOrUpdate(error.StatusCode == expected ? "expected" : $"{error.Status} {error.Status.DebugException}", 1, (_, count) => count + 1);
                }
            },
            Ct)));
        var seen = string.Join("; ", endings.Select(ending => $"{ending.Value} {ending.Key}"));
        Assert.True(seen == "500 expected", seen);
    }

    [Theory]
    [InlineData(StatusCode.Unavailable)]
    [InlineData(StatusCode.DeadlineExceeded)]
    [InlineData(StatusCode.Cancelled)]
    public async Task A_write_that_a_calls_end_overtakes_ends_as_the_call_does(StatusCode expected)
    {
        _answer = async context =>
        {
            var bytes = new byte[1 << 16];
            for (var read = 0; read < 1 << 18; read += await context.Request.Body.ReadAsync(bytes, Ct))
            {
                // Some of it.
            }

            if (expected == StatusCode.Unavailable)
            {
                context.Features.Get<IConnectionLifetimeFeature>()!.Abort(); // as where its process is killed
            }
            else
            {
                await Task.Delay(Patience, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
            }
        };
        var address = _server.Urls.Single();
        using var client = new MeshClient(new(address, address, address));
        var endings = new ConcurrentDictionary<string, int>();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(
            async () =>
            {
                var request = new ImportMapRequest { Chunk = new() { Data = Google.Protobuf.ByteString.CopyFrom(new byte[1 << 16]) } };
                for (var call = 0; call < 25; call++)
                {
                    using var cancel = new CancellationTokenSource();
                    var patience = TimeSpan.FromMilliseconds(20 + worker + call);
                    if (expected == StatusCode.Cancelled)
                    {
                        cancel.CancelAfter(patience);
                    }

                    using var import = client.Mapping.ImportMap(deadline: DateTime.UtcNow + (expected == StatusCode.DeadlineExceeded ? patience : Patience), cancellationToken: cancel.Token);
                    var error = await Record.ExceptionAsync(async () =>
                    {
                        while (true)
                        {
                            await import.RequestStream.WriteAsync(request, Ct);
                        }
                    });
                    endings.AddOrUpdate((error as RpcException)?.StatusCode == expected ? "expected" : $"{error}", 1, (_, count) => count + 1);
                }
            },
            Ct)));
        var seen = string.Join("; ", endings.Select(ending => $"{ending.Value} {ending.Key}"));
        Assert.True(seen == "200 expected", seen);
    }

    [Fact]
    public async Task A_connection_that_is_closed_before_its_first_frame_is_lost()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var serving = ServeAsync();
        using var channel = MeshChannel.Open($"http://{listener.LocalEndpoint}");
        for (var call = 0; call < 5; call++)
        {
            var error = await Assert.ThrowsAsync<RpcException>(async () => await new VectorService.VectorServiceClient(channel).DeleteVectorAsync(new(), cancellationToken: Ct));
            Assert.True(error.StatusCode == StatusCode.Unavailable, error.ToString());
        }

        listener.Stop();
        await Assert.ThrowsAsync<SocketException>(() => serving);

        async Task ServeAsync()
        {
            while (true)
            {
                _ = CloseAsync(await listener.AcceptTcpClientAsync(Ct));
            }
        }

        static async Task CloseAsync(TcpClient connection)
        {
            using (connection)
            {
                await connection.GetStream().ReadAtLeastAsync(new byte[24], 24, throwOnEndOfStream: false, Ct); // HTTP/2's preface
                connection.Client.Shutdown(SocketShutdown.Send);
                await connection.GetStream().CopyToAsync(Stream.Null, Ct);
            }
        }
    }

    [Theory]
    [InlineData("4", StatusCode.DeadlineExceeded, "Deadline Exceeded")]
    [InlineData(null, StatusCode.Unavailable, "Error reading next message. IOException: the answer ended without a status")]
    public async Task An_answer_that_ends_amid_a_message_ends_as_its_trailers_say(string? status, StatusCode expected, string detail)
    {
        _answer = async context =>
        {
            await context.Response.Body.WriteAsync(Framed(new byte[10], 100), Ct);
            if (status is not null)
            {
                context.Response.AppendTrailer("grpc-message", "Deadline%20Exceeded");
                context.Response.AppendTrailer("grpc-status", status);
            }
        };
        using var channel = MeshChannel.Open(_server.Urls.Single());
        using var call = new GenerationService.GenerationServiceClient(channel).Generate(new(), cancellationToken: Ct);
        var error = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(call));
        Assert.Equal((expected, detail), (error.StatusCode, error.Status.Detail));
    }

    [Fact]
    public async Task A_connection_that_is_closed_for_another_calls_late_frame_is_lost_and_no_more()
    {
        var answered = 0;
        _answer = async context =>
        {
            if (Interlocked.Increment(ref answered) == 1)
            {
                context.Response.AppendTrailer("grpc-status", "0");
                return;
            }

            await context.Response.Body.FlushAsync(Ct);
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        };
        NetworkStream? connection = null;
        var connections = new SocketsHttpHandler
        {
            ConnectCallback = async (context, cancellation) =>
            {
                var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                await socket.ConnectAsync(context.DnsEndPoint, cancellation);
                return connection = new NetworkStream(socket, ownsSocket: true);
            },
        };
        using var channel = GrpcChannel.ForAddress(_server.Urls.Single(), new() { HttpHandler = new LeavingServer(connections, _ => false), DisposeHttpClient = true });
        var generation = new GenerationService.GenerationServiceClient(channel);
        using (var first = generation.Generate(new(), cancellationToken: Ct))
        {
            await ReadAsync(first);
        }

        using var second = generation.Generate(new(), cancellationToken: Ct);
        await second.ResponseHeadersAsync.WaitAsync(Patience, Ct);
        byte[] late = [0, 0, 1, 0, 0, 0, 0, 0, 1, 0]; // a frame of one byte: DATA, no flags, of stream 1
        await connection!.WriteAsync(late, Ct);
        var error = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(second).WaitAsync(Patience, Ct));
        Assert.Equal(StatusCode.Unavailable, error.StatusCode);
    }

    private static async Task ReadAsync(AsyncServerStreamingCall<GenerateResponse> call)
    {
        while (await call.ResponseStream.MoveNext(Ct))
        {
            // To the end.
        }
    }

    /// <summary>A message as gRPC frames it, of as many bytes as are announced or fewer.</summary>
    private static byte[] Framed(byte[] message, uint announced)
    {
        var frame = new byte[5 + message.Length];
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(1), announced);
        message.CopyTo(frame, 5);
        return frame;
    }
}

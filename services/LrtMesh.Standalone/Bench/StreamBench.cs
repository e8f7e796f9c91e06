using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.Core;
using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;
using Microsoft.AspNetCore.Builder;
using Spectre.Console;

namespace LrtMesh.Standalone.Bench;

/// <summary>`bench stream`: rows over one gRPC connection, as an extraction sends and a client takes them, beside the same bytes over a plain socket.</summary>
/// <remarks>
/// Both ends and both arms run in this process over loopback. The rows are there beforehand: no model runs. Over gRPC they are cut into chunks, each with
/// its checksum, which the receiver checks before it puts the tensor together; the socket carries bare bytes in buffers of 512 KiB into one buffer.
/// </remarks>
internal static class StreamBench
{
    private const int Width = 2048; // of a row, float32
    private const int BlockBytes = 8 << 20; // of one announced tensor

    public static Command Create()
    {
        var json = BenchCommand.JsonOption();
        var megabytes = new Option<int>("--megabytes") { Description = "What each run sends, in MiB.", DefaultValueFactory = _ => 512 };
        var rounds = new Option<int>("--rounds") { Description = "Rounds, of which the median counts.", DefaultValueFactory = _ => 9 };
        var command = new Command("stream", "Bytes a second of hidden states over one gRPC connection, beside a plain socket.") { megabytes, rounds, json };
        BenchCommand.AtLeast(megabytes, 8);
        BenchCommand.AtLeast(rounds, 1);
        command.SetAction((parsed, cancellation) => RunAsync(parsed.GetValue(megabytes), parsed.GetValue(rounds), parsed.GetValue(json), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(int megabytes, int rounds, FileInfo? json, CancellationToken cancellation)
    {
        var blocks = megabytes * (1 << 20) / BlockBytes;
        var block = new byte[BlockBytes];
        Random.Shared.NextBytes(block);
        await using var server = Serve(new Rows(block, blocks));
        await server.StartAsync(cancellation);
        using var channel = MeshChannel.Open(server.Urls.First());
        var client = new ExtractionService.ExtractionServiceClient(channel);
        var total = (double)blocks * BlockBytes;
        var seconds = await BenchCommand.TurnsAsync(
            [() => TakeAsync(client, blocks, cancellation), () => Task.Run(() => PlainSocket(block, blocks), cancellation)], rounds, cancellation);
        double[] ratios = [.. seconds[1].Zip(seconds[0], (plain, grpc) => plain / grpc)];
        double[] rates = [.. seconds[0].Select(took => total / took / 1e9)];
        double[] plain = [.. seconds[1].Select(took => total / took / 1e9)];
        AnsiConsole.WriteLine($"over gRPC {BenchCommand.Shown(rates, "F2")} GB/s, over a plain socket {BenchCommand.Shown(plain, "F2")} GB/s: {BenchCommand.Shown(ratios, "F2")} of it");
        BenchCommand.Write(json, new
        {
            Megabytes = megabytes, ChunkBytes = TensorChunks.MaximumBytes, Rounds = rounds, GigabytesPerSecond = BenchCommand.Median(rates), SocketGigabytesPerSecond = BenchCommand.Median(plain),
            Ratio = BenchCommand.Median(ratios), RatioInterval = BenchCommand.Interval(ratios),
        });
        return 0;
    }

    /// <summary>A server like a role's, without store or models.</summary>
    private static WebApplication Serve(Rows rows)
    {
        var builder = RoleHost.CreateBuilder("bench", new RoleOptions { Address = IPAddress.Loopback, Port = 0, Redis = "" });
        builder.Services.AddSingleton(rows);
        var app = builder.Build();
        RoleHost.Admit(app);
        app.MapGrpcService<Rows>();
        return app;
    }

    private static async Task TakeAsync(ExtractionService.ExtractionServiceClient client, int blocks, CancellationToken cancellation)
    {
        var complete = 0;
        await foreach (var block in client.ReadHiddenStatesAsync(new() { Layers = { 0 } }, [], cancellation: cancellation))
        {
            block.Dispose();
            complete++;
        }

        if (complete != blocks)
        {
            throw new LrtMeshException(ErrorReason.DataLoss, string.Create(CultureInfo.InvariantCulture, $"{complete} of {blocks} blocks came"));
        }
    }

    private static void PlainSocket(byte[] block, int blocks)
    {
        using var listener = new Socket(SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        using var sender = new Socket(SocketType.Stream, ProtocolType.Tcp);
        sender.Connect(listener.LocalEndPoint!);
        using var receiver = listener.Accept();
        var sending = new Thread(() =>
        {
            for (var i = 0; i < blocks; i++)
            {
                for (var at = 0; at < block.Length; at += TensorChunks.MaximumBytes)
                {
                    sender.Send(block.AsSpan(at, TensorChunks.MaximumBytes));
                }
            }

            sender.Shutdown(SocketShutdown.Send);
        });
        sending.Start();
        var buffer = new byte[TensorChunks.MaximumBytes];
        while (receiver.Receive(buffer) > 0)
        {
        }

        sending.Join();
    }

    /// <summary>Sends rows as an extraction does, which are there already.</summary>
    /// <param name="block">Bytes of a tensor.</param>
    /// <param name="blocks">How often it is sent.</param>
    private sealed class Rows(byte[] block, int blocks) : ExtractionService.ExtractionServiceBase
    {
        public override async Task ExtractHiddenStates(
            IAsyncStreamReader<ExtractHiddenStatesRequest> requestStream, IServerStreamWriter<ExtractHiddenStatesResponse> responseStream, ServerCallContext context)
        {
            await responseStream.WriteAsync(new ExtractHiddenStatesResponse { Started = new() { Width = Width } });
            var label = new uint[BlockBytes / sizeof(float) / Width];
            for (var i = 0; i < blocks; i++)
            {
                var rows = new RowBlock
                {
                    Sequence = { label }, Position = { label }, TokenId = { label }, CharStart = { label }, CharEnd = { label }, Layers = { TensorCodec.Header(Dtype.Float32, label.Length, Width) },
                };
                await responseStream.WriteAsync(new ExtractHiddenStatesResponse { Rows = rows });
                foreach (var chunk in TensorChunks.Split(0, block))
                {
                    await responseStream.WriteAsync(new ExtractHiddenStatesResponse { Chunk = chunk });
                }
            }
        }
    }
}

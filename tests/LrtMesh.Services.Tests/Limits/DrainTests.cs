using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Google.Rpc;
using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Net.Client;
using Grpc.Net.Client.Balancer;
using Grpc.Net.Client.Configuration;
using LrtMesh.Client;
using LrtMesh.Mapping;
using LrtMesh.Services.Tests.Access;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Microsoft.Extensions.DependencyInjection;
using Xunit;
using ServingStatus = Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace LrtMesh.Services.Tests.Limits;

/// <summary>How a role stops.</summary>
public sealed class DrainTests(MeshFixture mesh) : AccessTests(mesh)
{
    private static readonly TimeSpan StartsWithin = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task First_it_is_announced_then_calls_end_and_what_remains_is_told_to_try_again()
    {
        var role = await StartAsync(Options(new()) with { Drain = new() { Announce = TimeSpan.FromSeconds(1.5), Time = TimeSpan.FromSeconds(1.5) } });
        using var channel = MeshChannel.Open(role.Address.GetLeftPart(UriPartial.Authority));
        var (health, maps) = (new Health.HealthClient(channel), new MappingService.MappingServiceClient(channel));
        using var watching = health.Watch(new(), cancellationToken: Ct);
        Assert.True(await watching.ResponseStream.MoveNext(Ct));
        using var ends = LimitTests.PushTo(maps);
        using var endless = LimitTests.PushTo(maps);
        await LimitTests.BeginAsync(ends);
        await LimitTests.BeginAsync(endless);

        var clock = Stopwatch.StartNew();
        var stopping = role.DisposeAsync().AsTask();

        // 1. Announced, and serving.
        Assert.True(await watching.ResponseStream.MoveNext(Ct));
        Assert.Equal(ServingStatus.NotServing, watching.ResponseStream.Current.Status);
        await maps.ListMapsAsync(new(), cancellationToken: Ct);
        await ListAsync(role.Address, null); // over a new connection too
        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(1.5));

        // 2. Who only waits is let go at once.
        Assert.False(await watching.ResponseStream.MoveNext(Ct));
        Assert.InRange(clock.Elapsed, TimeSpan.FromSeconds(1.4), TimeSpan.FromSeconds(2.6));

        // A call that ends in time ends as it would have.
        await ends.RequestStream.CompleteAsync();
        Assert.Equal(StatusCode.FailedPrecondition, (await Assert.ThrowsAsync<RpcException>(() => ends.ResponseAsync)).StatusCode);
        Assert.InRange(clock.Elapsed, TimeSpan.FromSeconds(1.4), TimeSpan.FromSeconds(2.9));

        // 3.
        var late = await Assert.ThrowsAsync<RpcException>(() => endless.ResponseAsync);
        Assert.Equal(StatusCode.Unavailable, late.StatusCode);
        Assert.Equal(TimeSpan.FromSeconds(1), late.GetRpcStatus()!.GetDetail<RetryInfo>()!.RetryDelay.ToTimeSpan());
        Assert.InRange(clock.Elapsed, TimeSpan.FromSeconds(2.9), TimeSpan.FromSeconds(4.5));
        await stopping;
        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public async Task A_watched_job_is_let_go_at_once_and_its_client_goes_on_with_another_replica()
    {
        var role = await StartAsync(Options(new()) with
        {
            Endpoints = () => [Mesh.Mesh.Extraction!.Address, Mesh.Mesh.Generation!.Address],
            Drain = new() { Time = TimeSpan.FromSeconds(20) },
        });
        using var channel = MeshChannel.Open(role.Address.GetLeftPart(UriPartial.Authority));
        var maps = new MappingService.MappingServiceClient(channel);
        var job = (await maps.CreateMapJobAsync(
            new()
            {
                Map = "watched",
                Source = new() { Model = "source", Layer = 1 },
                Target = new() { Model = "target", Layer = 2 },
                Documents = { TinyCheckpoint.Texts(16_000).Select(text => new Document { Text = text }) },
            },
            cancellationToken: Ct)).Job;
        using var watch = maps.WatchMapJob(new() { Id = job.Id }, cancellationToken: Ct);
        Assert.True(await watch.ResponseStream.MoveNext(Ct));

        var clock = Stopwatch.StartNew();
        var stopping = role.DisposeAsync().AsTask();
        var told = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (await watch.ResponseStream.MoveNext(Ct))
            {
                // What was on its way.
            }
        });
        Assert.Equal(StatusCode.Unavailable, told.StatusCode);
        await stopping;
        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(10));

        using var again = Mesh.Mapping.WatchMapJob(new() { Id = job.Id }, cancellationToken: Ct);
        Assert.True(await again.ResponseStream.MoveNext(Ct));
        await Mesh.Mapping.CancelMapJobAsync(new() { Id = job.Id }, cancellationToken: Ct);
        Assert.Equal(JobState.Cancelled, (await Mesh.Mapping.EndedAsync(job.Id, Ct)).State);
    }

    [Fact]
    public async Task A_rolling_restart_under_load_fails_no_call()
    {
        int[] ports = [FreePort(), FreePort()];
        Process[] replicas = [Start(ports[0]), Start(ports[1])];
        try
        {
            foreach (var port in ports)
            {
                await UntilServingAsync(port);
            }

            await using var resolvers = new ServiceCollection()
                .AddSingleton<ResolverFactory>(new StaticResolverFactory(_ => [.. ports.Select(port => new BalancerAddress("127.0.0.1", port))])).BuildServiceProvider();
            using var channel = GrpcChannel.ForAddress("static:///replicas", new()
            {
                Credentials = ChannelCredentials.Insecure,
                HttpHandler = new LeavingServer(new SocketsHttpHandler { EnableMultipleHttp2Connections = true }, _ => true), // as MeshChannel has it
                DisposeHttpClient = true,
                ServiceProvider = resolvers,
                ServiceConfig = new() { LoadBalancingConfigs = { new RoundRobinConfig() }, MethodConfigs = { Retried() } },
            });
            await LimitTests.ImportAsync(new(channel), "rolling", 1024); // 4 MiB
            using var stop = new CancellationTokenSource();
            var (calls, failures) = (new ConcurrentDictionary<int, int>(), new ConcurrentQueue<RpcException>());
            var load = Enumerable.Range(0, 6).Select(worker => Task.Run(async () =>
            {
                var (vectors, maps) = (new VectorService.VectorServiceClient(channel), new MappingService.MappingServiceClient(channel));
                for (; !stop.IsCancellationRequested; await Task.Delay(5, Ct))
                {
                    try
                    {
                        if (worker % 3 == 0)
                        {
                            // A stream that has begun is never tried again: it ends where it began.
                            using var export = maps.ExportMap(new() { Map = "rolling" }, deadline: DateTime.UtcNow.AddSeconds(30), cancellationToken: Ct);
                            while (await export.ResponseStream.MoveNext(Ct))
                            {
                                await Task.Delay(100, Ct);
                            }
                        }
                        else
                        {
                            await vectors.ListVectorsAsync(new() { PageSize = 10 }, deadline: DateTime.UtcNow.AddSeconds(30), cancellationToken: Ct);
                        }

                        calls.AddOrUpdate(worker, 1, (_, count) => count + 1);
                    }
                    catch (RpcException e)
                    {
                        failures.Enqueue(e);
                    }
                }
            })).ToArray();
            await Task.Delay(500, Ct);
            for (var i = 0; i < replicas.Length; i++)
            {
                using (var kill = Process.Start("kill", ["-TERM", replicas[i].Id.ToString(CultureInfo.InvariantCulture)]))
                {
                    await replicas[i].WaitForExitAsync(Ct);
                }

                Assert.Equal(0, replicas[i].ExitCode);
                replicas[i].Dispose();
                replicas[i] = Start(ports[i]);
                await UntilServingAsync(ports[i]);
                await Task.Delay(200, Ct);
            }

            await stop.CancelAsync();
            await Task.WhenAll(load);
            Assert.Empty(failures);
            await Mesh.Mapping.DeleteMapAsync(new() { Name = "rolling" }, cancellationToken: Ct);
            Assert.True(calls.Values.Sum() > 200, $"{calls.Values.Sum()} calls are no load");
            TestContext.Current.SendDiagnosticMessage($"{calls.Values.Sum()} calls, {calls[0] + calls[3]} of them streams, over two restarts, none failed");
        }
        finally
        {
            foreach (var replica in replicas)
            {
                replica.Kill();
                await replica.WaitForExitAsync(CancellationToken.None);
                replica.Dispose();
            }
        }
    }

    private static MethodConfig Retried() => new()
    {
        Names = { MethodName.Default },
        RetryPolicy = new()
        {
            MaxAttempts = 5, InitialBackoff = TimeSpan.FromMilliseconds(100), MaxBackoff = TimeSpan.FromSeconds(1), BackoffMultiplier = 2, RetryableStatusCodes = { StatusCode.Unavailable },
        },
    };

    private Process Start(int port)
    {
        var assembly = typeof(MappingRole).Assembly.Location;
        var process = Process.Start(new ProcessStartInfo(
            "dotnet", [assembly, "--port", $"{port}", "--redis", Mesh.Mesh.Store.Split(' ')[1], "--drain-announce-seconds", "0.5"])
        { RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.ErrorDataReceived += (_, line) => TestContext.Current.SendDiagnosticMessage($"{port}: {line.Data}");
        process.BeginErrorReadLine();
        return process;
    }

    private static async Task UntilServingAsync(int port)
    {
        using var channel = GrpcChannel.ForAddress($"http://127.0.0.1:{port}");
        for (var clock = Stopwatch.StartNew(); ; await Task.Delay(100, Ct))
        {
            try
            {
                if ((await new Health.HealthClient(channel).CheckAsync(new(), cancellationToken: Ct)).Status == ServingStatus.Serving)
                {
                    return;
                }
            }
            catch (RpcException) when (clock.Elapsed < StartsWithin)
            {
                // Not there yet.
            }

            Assert.True(clock.Elapsed < StartsWithin, $"nothing serves at {port}");
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

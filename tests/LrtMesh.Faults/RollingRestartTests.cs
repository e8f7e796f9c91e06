using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Balancer;
using Grpc.Net.Client.Configuration;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>Replicas restart one after the other under load.</summary>
public sealed class RollingRestartTests(FaultTable table, FaultMesh mesh) : FaultTests(table, mesh)
{
    private const int Workers = 6;

    [Fact]
    public Task Two_replicas_restart_in_turn() => Table.RunAsync(
        "rolling restart of two mapping replicas under load",
        "with a client that tries again when UNAVAILABLE no call fails; each replica ends with 0",
        async () =>
        {
            var rounds = FaultTable.Size(1, 5);
            await using var one = Mesh.OneMoreMapping("--drain-announce-seconds", "0.5");
            await using var other = Mesh.OneMoreMapping("--drain-announce-seconds", "0.5");
            await Task.WhenAll(one.StartAsync(), other.StartAsync());
            await using var resolvers = new ServiceCollection()
                .AddSingleton<ResolverFactory>(new StaticResolverFactory(_ => [new BalancerAddress("127.0.0.1", one.Port), new BalancerAddress("127.0.0.1", other.Port)])).BuildServiceProvider();
            using var channel = GrpcChannel.ForAddress("static:///replicas", new()
            {
                Credentials = ChannelCredentials.Insecure,
                ServiceProvider = resolvers,
                ServiceConfig = new() { LoadBalancingConfigs = { new RoundRobinConfig() }, MethodConfigs = { Retried() } },
            });
            using var stop = new CancellationTokenSource();
            var (endings, wrong) = (new Endings(), 0);
            var (vectors, maps) = (new VectorService.VectorServiceClient(channel), new MappingService.MappingServiceClient(channel));
            var load = Enumerable.Range(0, Workers).Select(worker => Task.Run(
                async () =>
                {
                    var name = $"rolling/{worker}";
                    for (var i = 1; !stop.IsCancellationRequested; i++)
                    {
                        var elements = TensorCodec.Encode([i, worker], 2);
                        await endings.CountAsync(async () => await vectors.PutVectorAsync(
                            new() { Vector = new() { Name = name, Model = "target", Provenance = new() { Method = VectorMethod.Given } }, Elements = elements }, Options()));
                        await endings.CountAsync(async () =>
                        {
                            if (!(await vectors.GetVectorAsync(new() { Name = name }, Options())).Elements.Equals(elements))
                            {
                                Interlocked.Increment(ref wrong);
                            }
                        });
                        await endings.CountAsync(async () => await maps.ApplyMapAsync(
                            new() { Map = "m", Rows = TensorCodec.Encode(new float[FaultMesh.SourceWidth], 1, FaultMesh.SourceWidth) }, Options()));
                        await Task.Delay(5, Ct);
                    }
                },
                Ct)).ToArray();
            var exits = 0;
            for (var round = 0; round < rounds; round++)
            {
                foreach (var replica in new[] { one, other })
                {
                    await Task.Delay(500, Ct);
                    exits += await replica.StopAsync() == 0 ? 0 : 1;
                    await replica.StartAsync();
                    await Task.Delay(500, Ct);
                }
            }

            await stop.CancelAsync();
            await Task.WhenAll(load);
            var failed = endings.Total - endings[StatusCode.OK];
            return new(2 * rounds, $"{endings.Total:N0} calls over {2 * rounds} restarts: {endings}; {wrong} answers not what was written; {exits} replicas ended otherwise than with 0", failed, failed == 0 && wrong == 0 && exits == 0 && endings.Total > 100 * rounds);
        });

    private static CallOptions Options() => new(deadline: DateTime.UtcNow.AddSeconds(30), cancellationToken: Ct);

    private static MethodConfig Retried() => new()
    {
        Names = { MethodName.Default },
        RetryPolicy = new()
        {
            MaxAttempts = 5, InitialBackoff = TimeSpan.FromMilliseconds(100), MaxBackoff = TimeSpan.FromSeconds(1), BackoffMultiplier = 2, RetryableStatusCodes = { StatusCode.Unavailable },
        },
    };
}

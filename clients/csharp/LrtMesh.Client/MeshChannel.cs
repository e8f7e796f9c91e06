using Google.Protobuf.Reflection;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Configuration;
using LrtMesh.V1;
using MethodConfig = Grpc.Net.Client.Configuration.MethodConfig;

namespace LrtMesh.Client;

/// <summary>Channels as a mesh of many replicas wants them.</summary>
public static class MeshChannel
{
    private static readonly ServiceDescriptor[] Services = [ModelService.Descriptor, MappingService.Descriptor, VectorService.Descriptor, ExtractionService.Descriptor, GenerationService.Descriptor];

    // Only what the protos declare to have no side effects is sent twice.
    private static readonly MethodDescriptor[] Reads =
        [.. Services.SelectMany(service => service.Methods).Where(method => method.GetOptions()?.IdempotencyLevel == MethodOptions.Types.IdempotencyLevel.NoSideEffects)];

    private static readonly HashSet<string> TriedAgain = [.. Reads.Select(method => $"/{method.Service.FullName}/{method.Name}")];

    /// <summary>
    /// A channel that spreads calls over all replicas, tries reads again when UNAVAILABLE (up to four times), and notices a dead connection.
    /// </summary>
    /// <param name="address">http://HOST:PORT, https://HOST:PORT or dns:///HOST:PORT.</param>
    /// <param name="access">What to show, and whom to trust; null: nothing, and the system's authorities. Where it is given a dns: address is spoken to over TLS, as an https: one is.</param>
    public static GrpcChannel Open(string address, MeshAccess? access = null)
    {
        ArgumentNullException.ThrowIfNull(address);
        var secure = address.StartsWith("https:", StringComparison.Ordinal) || (access is not null && address.StartsWith("dns:", StringComparison.Ordinal));
        var handler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = true,
            KeepAlivePingDelay = TimeSpan.FromSeconds(60),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(20),
            KeepAlivePingPolicy = HttpKeepAlivePingPolicy.WithActiveRequests,
            InitialHttp2StreamWindowSize = TensorConnection.WindowBytes,
        };
        access?.Apply(handler.SslOptions);
        return GrpcChannel.ForAddress(address, new GrpcChannelOptions
        {
            Credentials = access?.Credentials(address, secure) ?? (secure ? ChannelCredentials.SecureSsl : ChannelCredentials.Insecure),
            UnsafeUseInsecureChannelCallCredentials = !secure, // to this machine alone: see MeshAccess
            HttpHandler = new LeavingServer(handler, TriedAgain.Contains),
            DisposeHttpClient = true,
            ServiceConfig = new ServiceConfig { LoadBalancingConfigs = { new RoundRobinConfig() }, MethodConfigs = { RetriedReads() } },
        });
    }

    private static MethodConfig RetriedReads()
    {
        var config = new MethodConfig
        {
            RetryPolicy = new RetryPolicy
            {
                MaxAttempts = 4,
                InitialBackoff = TimeSpan.FromMilliseconds(200),
                MaxBackoff = TimeSpan.FromSeconds(2),
                BackoffMultiplier = 2,
                RetryableStatusCodes = { StatusCode.Unavailable },
            },
        };
        foreach (var method in Reads)
        {
            config.Names.Add(new MethodName { Service = method.Service.FullName, Method = method.Name });
        }

        return config;
    }
}

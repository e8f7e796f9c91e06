using LrtMesh.ServiceDefaults.Access;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace LrtMesh.ServiceDefaults;

/// <summary>The port for clients: gRPC, over TLS where the role has a certificate.</summary>
internal static class GrpcPort
{
    private const double Jitter = 0.1; // of a connection's age, so that not all clients come back at once

    /// <summary>Opens the port.</summary>
    public static void Listen(KestrelServerOptions kestrel, RoleOptions options)
    {
        var limits = options.Limits;
        kestrel.Limits.MaxConcurrentConnections = limits.Connections; // of each port
        kestrel.Limits.Http2.MaxStreamsPerConnection = limits.Streams;
        kestrel.Limits.Http2.KeepAlivePingDelay = limits.KeepAlive > TimeSpan.Zero ? limits.KeepAlive : TimeSpan.MaxValue;
        // By default a client that takes less than 240 bytes a second of one call loses its connection, with all calls on it. Each has a patience of its own: see GuardedCall.
        kestrel.Limits.MinResponseDataRate = null;
        kestrel.Listen(options.Address, options.Port, listen =>
        {
            // Alone: without TLS Kestrel would not know which one a client speaks with HTTP/1.1 on the same port.
            listen.Protocols = HttpProtocols.Http2;
            if (limits.ConnectionAge > TimeSpan.Zero)
            {
                listen.Use(next => async connection =>
                {
                    var age = limits.ConnectionAge * (1 - Jitter + (2 * Jitter * Random.Shared.NextDouble()));
                    // GOAWAY: what runs goes on, and the next call opens another connection.
                    using var aged = new Timer(_ => connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.RequestClose(), null, age, Timeout.InfiniteTimeSpan);
                    await next(connection);
                });
            }

            listen.UseTls(kestrel.ApplicationServices.GetRequiredService<AccessFiles>());
        });
    }
}

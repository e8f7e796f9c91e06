using LrtMesh.ServiceDefaults.Access;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace LrtMesh.ServiceDefaults;

/// <summary>The port for clients: gRPC, over TLS where the role has a certificate.</summary>
internal static class GrpcPort
{
    /// <summary>Opens the port.</summary>
    public static void Listen(KestrelServerOptions kestrel, RoleOptions options) => kestrel.Listen(options.Address, options.Port, listen =>
    {
        // Alone: without TLS Kestrel would not know which one a client speaks with HTTP/1.1 on the same port.
        listen.Protocols = HttpProtocols.Http2;
        listen.UseTls(kestrel.ApplicationServices.GetRequiredService<AccessFiles>());
    });
}

using System.Net.Security;
using System.Security.Authentication;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>TLS of the gRPC port.</summary>
internal static class ServerTls
{
    /// <summary>Serves TLS with the role's certificate, where it has one. Each handshake takes the certificates as the files have them then.</summary>
    public static void UseTls(this ListenOptions listen, AccessFiles files)
    {
        if (files.ServerCertificate is { } certificate)
        {
            listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(Options(certificate.Current, files)) });
        }
    }

    private static SslServerAuthenticationOptions Options(SslStreamCertificateContext certificate, AccessFiles files) => new()
    {
        ServerCertificateContext = certificate,
        ApplicationProtocols = [SslApplicationProtocol.Http2],
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        // What a client shows must be for client authentication (RFC 5280, 4.2.1.12), which SslStream adds to the policy.
        ClientCertificateRequired = files.ClientCa is not null,
        CertificateChainPolicy = files.ClientCa is { } ca ? Certificates.TrustIn(ca.Current) : null,
        // Without a resumption every connection is checked against the authorities of now.
        AllowTlsResume = false,
    };
}

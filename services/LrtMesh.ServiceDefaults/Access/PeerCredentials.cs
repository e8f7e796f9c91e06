using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Grpc.Core;
using LrtMesh.V1;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>What a role shows and trusts when it calls another one.</summary>
public sealed class PeerCredentials
{
    private readonly AccessFiles _files;
    private readonly PeerOptions _options;

    internal PeerCredentials(AccessFiles files, RoleOptions options) => (_files, _options) = (files, options.Peers);

    /// <summary>Credentials for a channel to an address: TLS and the token, where it is spoken to over TLS.</summary>
    public ChannelCredentials For(Uri endpoint)
    {
        if (!_options.IsSecure(endpoint))
        {
            return ChannelCredentials.Insecure;
        }

        return _files.PeerToken is not { } token ? ChannelCredentials.SecureSsl : ChannelCredentials.Create(ChannelCredentials.SecureSsl, CallCredentials.FromInterceptor((_, metadata) =>
        {
            metadata.Add("authorization", $"Bearer {token.Current}");
            return Task.CompletedTask;
        }));
    }

    /// <summary>A handler for a channel; each of its connections takes the certificates as the files have them then.</summary>
    public SocketsHttpHandler NewHandler()
    {
        // Pings: a role that is gone without a word is noticed.
        var handler = new SocketsHttpHandler
        {
            EnableMultipleHttp2Connections = true,
            KeepAlivePingDelay = TimeSpan.FromSeconds(60),
            KeepAlivePingTimeout = TimeSpan.FromSeconds(20),
            InitialHttp2StreamWindowSize = TensorConnection.WindowBytes,
        };
        if (_files.PeerCa is { } ca)
        {
            handler.SslOptions.RemoteCertificateValidationCallback = (_, certificate, chain, errors) => IsTrusted(certificate, chain, errors, ca.Current);
        }

        if (_files.PeerCertificate is { } own)
        {
            handler.SslOptions.LocalCertificateSelectionCallback = (_, _, _, _, _) => own.Current.TargetCertificate;
        }

        return handler;
    }

    private static bool IsTrusted(X509Certificate? certificate, X509Chain? sent, SslPolicyErrors errors, X509Certificate2Collection authorities)
    {
        if (certificate is not X509Certificate2 own || (errors & ~SslPolicyErrors.RemoteCertificateChainErrors) != SslPolicyErrors.None)
        {
            return false;
        }

        using var chain = new X509Chain { ChainPolicy = Certificates.TrustIn(authorities) };
        chain.ChainPolicy.ApplicationPolicy.Add(new("1.3.6.1.5.5.7.3.1")); // for server authentication
        chain.ChainPolicy.ExtraStore.AddRange(sent?.ChainPolicy.ExtraStore ?? []);
        return chain.Build(own);
    }
}

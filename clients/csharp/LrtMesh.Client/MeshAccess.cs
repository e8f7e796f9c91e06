using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Grpc.Core;

namespace LrtMesh.Client;

/// <summary>What is shown to a mesh that asks who calls, and whom to trust. Files are PEM; the token's is read again at each call.</summary>
public sealed record MeshAccess
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";

    /// <summary>File of the authorities that the mesh's certificates are from; null: those that the system trusts.</summary>
    public string? Ca { get; init; }

    /// <summary>File of the certificate to show; null: none.</summary>
    public string? Certificate { get; init; }

    /// <summary>File of its private key.</summary>
    public string? Key { get; init; }

    /// <summary>File of the bearer token; null: <see cref="Token"/>.</summary>
    public string? TokenFile { get; init; }

    /// <summary>The bearer token; null: none.</summary>
    public string? Token { get; init; }

    /// <summary>Without the token, which is nobody's to read.</summary>
    public override string ToString() => $"MeshAccess {{ Ca = {Ca}, Certificate = {Certificate}, TokenFile = {TokenFile} }}";

    /// <summary>Sets up TLS.</summary>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="System.Security.Cryptography.CryptographicException">A file is not what it should be.</exception>
    internal void Apply(SslClientAuthenticationOptions tls)
    {
        if (Ca is not null)
        {
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.ImportFromPemFile(Ca);
            policy.ApplicationPolicy.Add(new(ServerAuthentication));
            tls.CertificateChainPolicy = policy;
        }

        if (Certificate is not null)
        {
            tls.ClientCertificates = [X509Certificate2.CreateFromPemFile(Certificate, Key)];
        }
    }

    /// <summary>Credentials of a channel.</summary>
    /// <exception cref="ArgumentException">A token would go to another machine without TLS.</exception>
    internal ChannelCredentials Credentials(string address, bool secure)
    {
        var transport = secure ? ChannelCredentials.SecureSsl : ChannelCredentials.Insecure;
        if (TokenFile is null && Token is null)
        {
            return transport;
        }

        if (!secure && !new Uri(address).IsLoopback)
        {
            throw new ArgumentException($"a token is not sent to {address}: without TLS anyone in between could read it", nameof(address));
        }

        return ChannelCredentials.Create(transport, CallCredentials.FromInterceptor(async (_, metadata) =>
        {
            var token = TokenFile is null ? Token : await File.ReadAllTextAsync(TokenFile).ConfigureAwait(false);
            metadata.Add("authorization", $"Bearer {token!.Trim()}");
        }));
    }
}

using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using LrtMesh.Core;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.IdentityModel.Tokens;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>
/// The certificates and keys of a role, looked after while it runs: files that change are read again within seconds, without a restart, and a
/// certificate that is about to expire is told of.
/// </summary>
internal sealed class AccessFiles : BackgroundService
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan WarnBefore = TimeSpan.FromDays(7);

    private readonly ILogger<AccessFiles> _logger;
    private readonly string? _certificateFile;
    private readonly List<ReloadedFiles> _files = [];
    private (X509Certificate2 Certificate, bool Expired)? _told;

    /// <summary>Reads them.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition, naming the file: it cannot be read or is wrong, or the certificate has expired.</exception>
    public AccessFiles(RoleOptions options, ILogger<AccessFiles> logger)
    {
        _logger = logger;
        var (access, peers) = (options.Access, options.Peers);
        _certificateFile = access.Tls?.Certificate;
        ServerCertificate = access.Tls is { } tls ? Watch(texts => Certificates.WithKey(texts[0], texts[1]), tls.Certificate, tls.Key) : null;
        ClientCa = access.ClientCa is { } ca ? Watch(texts => Certificates.Authorities(texts[0]), ca) : null;
        Keys = access.Tokens is { } tokens ? Watch(texts => TokenKeys.Parse(texts[0]), tokens.Jwks) : null;
        PeerCa = peers.Ca is { } peerCa ? Watch(texts => Certificates.Authorities(texts[0]), peerCa) : null;
        PeerCertificate = peers.Certificate is { } own ? Watch(texts => Certificates.WithKey(texts[0], texts[1]), own.Certificate, own.Key) : null;
        PeerToken = peers.TokenFile is { } token ? Watch(texts => Token(texts[0]), token) : null;
    }

    /// <summary>The server's certificate; null: no TLS.</summary>
    public ReloadedFiles<SslStreamCertificateContext>? ServerCertificate { get; }

    /// <summary>Authorities of clients' certificates; null: a client shows none.</summary>
    public ReloadedFiles<X509Certificate2Collection>? ClientCa { get; }

    /// <summary>Keys of the tokens' issuer; null: no tokens.</summary>
    public ReloadedFiles<IReadOnlyDictionary<string, SecurityKey>>? Keys { get; }

    /// <summary>Authorities of other roles' certificates; null: the system's.</summary>
    public ReloadedFiles<X509Certificate2Collection>? PeerCa { get; }

    /// <summary>What this role shows to others; null: nothing.</summary>
    public ReloadedFiles<SslStreamCertificateContext>? PeerCertificate { get; }

    /// <summary>The token that this role calls others with; null: none.</summary>
    public ReloadedFiles<string>? PeerToken { get; }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (_files.Count > 0)
        {
            WarnOfExpiry();
            await Task.Delay(LookEvery, stoppingToken);
            foreach (var file in _files)
            {
                file.Refresh(_logger);
            }
        }
    }

    /// <summary>A token, as a header takes it. A file that is being written is empty for a moment.</summary>
    private static string Token(string text) => text.Trim() is { Length: > 0 } token && token.All(c => c is > ' ' and <= '~')
        ? token
        : throw new LrtMeshException(ErrorReason.FailedPrecondition, "there is no token in it: one line of visible ASCII characters is wanted");

    private ReloadedFiles<T> Watch<T>(Func<string[], T> parse, params string[] paths)
        where T : class
    {
        var files = new ReloadedFiles<T>(parse, paths);
        _files.Add(files);
        return files;
    }

    /// <summary>Tells once that a certificate is about to expire, and once that it has.</summary>
    private void WarnOfExpiry()
    {
        if (ServerCertificate?.Current.TargetCertificate is not { } certificate)
        {
            return;
        }

        var until = certificate.NotAfter.ToUniversalTime();
        var expired = until <= DateTime.UtcNow;
        if (_told == (certificate, expired) || until > DateTime.UtcNow + WarnBefore)
        {
            return;
        }

        _told = (certificate, expired);
        if (expired)
        {
            AccessLog.Expired(_logger, certificate.Subject, _certificateFile!, Certificates.Written(until));
        }
        else
        {
            AccessLog.Expires(_logger, certificate.Subject, _certificateFile!, Certificates.Written(until));
        }
    }
}

using System.Net;
using LrtMesh.Core;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>Who may call a role, and over what.</summary>
public sealed record AccessOptions
{
    /// <summary>The server's certificate; null: no TLS.</summary>
    public CertificateFiles? Tls { get; init; }

    /// <summary>PEM of the authorities whose certificates a client must show; null: a client shows none.</summary>
    public string? ClientCa { get; init; }

    /// <summary>Whose tokens are taken; null: calls need none.</summary>
    public TokenOptions? Tokens { get; init; }

    /// <summary>Whether other machines may reach it without TLS or without tokens.</summary>
    public bool Insecure { get; init; }

    /// <summary>
    /// Reads <c>tls-cert</c>, <c>tls-key</c>, <c>tls-client-ca</c>, <c>auth-issuer</c>, <c>auth-audience</c>, <c>auth-jwks</c>,
    /// <c>auth-tenant-claim</c> and <c>insecure</c>.
    /// </summary>
    /// <param name="settings">The settings; what is wrong is noted there.</param>
    /// <param name="address">Where the role listens.</param>
    public static AccessOptions From(RoleSettings settings, IPAddress address)
    {
        var access = new AccessOptions
        {
            Tls = Pair(settings, "tls-cert", "tls-key"),
            ClientCa = settings.Optional("tls-client-ca"),
            Tokens = TokenOptions.From(settings),
            Insecure = settings.Flag("insecure"),
        };
        if (access is { ClientCa: not null, Tls: null })
        {
            settings.Wrong("tls-client-ca", "needs --tls-cert and --tls-key: a client shows its certificate in TLS alone");
        }

        if (access.Exposure(address) is { } exposure)
        {
            settings.Wrong("address", exposure);
        }

        return access;
    }

    /// <summary>A certificate and its key, which go together.</summary>
    public static CertificateFiles? Pair(RoleSettings settings, string certificate, string key)
    {
        var (has, hasKey) = (settings.Optional(certificate), settings.Optional(key));
        if (has is null != hasKey is null)
        {
            settings.Wrong(has is null ? certificate : key, $"must be given: --{certificate} and --{key} go together");
        }

        return has is not null && hasKey is not null ? new(has, hasKey) : null;
    }

    /// <summary>What an address lacks to be listened on; null: nothing.</summary>
    public string? Exposure(IPAddress address) => IPAddress.IsLoopback(address) || Insecure || (Tls is not null && Tokens is not null)
        ? null
        : $"{address} can be reached from other machines, and there is {Without}: give --tls-cert, --tls-key, --auth-issuer, --auth-audience and --auth-jwks, or say --insecure true";

    /// <summary>What it is without, in words.</summary>
    internal string Without => (Tls, Tokens) switch
    {
        (null, null) => "neither TLS nor a check of tokens",
        (null, _) => "no TLS",
        _ => "no check of tokens",
    };

    /// <summary>Refuses to be reached from other machines without TLS and tokens, unless it was said.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument.</exception>
    internal void Check(IPAddress address)
    {
        if (Exposure(address) is { } exposure)
        {
            throw LrtMeshException.Invalid("--address", exposure);
        }
    }
}

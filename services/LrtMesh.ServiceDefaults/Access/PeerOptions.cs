namespace LrtMesh.ServiceDefaults.Access;

/// <summary>How a role calls other roles.</summary>
public sealed record PeerOptions
{
    /// <summary>PEM of the authorities that other roles' certificates are from; null: those that the system trusts. With it dns: addresses are spoken to over TLS.</summary>
    public string? Ca { get; init; }

    /// <summary>The certificate that this role shows; null: none.</summary>
    public CertificateFiles? Certificate { get; init; }

    /// <summary>File of the token that it calls with; null: none.</summary>
    public string? TokenFile { get; init; }

    /// <summary>Reads <c>peer-ca</c>, <c>peer-cert</c>, <c>peer-key</c> and <c>peer-token-file</c>.</summary>
    /// <param name="settings">The settings; what is wrong is noted there.</param>
    /// <param name="endpoints">What it calls.</param>
    public static PeerOptions From(RoleSettings settings, IReadOnlyList<Uri> endpoints)
    {
        var peers = new PeerOptions
        {
            Ca = settings.Optional("peer-ca"),
            Certificate = AccessOptions.Pair(settings, "peer-cert", "peer-key"),
            TokenFile = settings.Optional("peer-token-file"),
        };
        if (peers.TokenFile is not null && endpoints.FirstOrDefault(endpoint => !peers.IsSecure(endpoint)) is { } open)
        {
            settings.Wrong("peer-token-file", $"must not be sent without TLS, and {open} is spoken to without: give an https: address, or --peer-ca for a dns: one");
        }

        return peers;
    }

    /// <summary>Whether an address is spoken to over TLS.</summary>
    public bool IsSecure(Uri endpoint) => endpoint.Scheme == "https" || (endpoint.Scheme == "dns" && Ca is not null);
}

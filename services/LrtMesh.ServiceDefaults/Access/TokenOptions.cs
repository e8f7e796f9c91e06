namespace LrtMesh.ServiceDefaults.Access;

/// <summary>Whose tokens a role takes.</summary>
/// <param name="Issuer">Their iss.</param>
/// <param name="Audience">What must be in their aud.</param>
/// <param name="Jwks">File of the issuer's public keys, a JSON Web Key Set (RFC 7517).</param>
public sealed record TokenOptions(string Issuer, string Audience, string Jwks)
{
    /// <summary>The claim that names a caller's tenant; a token without it is of the default tenant.</summary>
    public string TenantClaim { get; init; } = "tenant";

    /// <summary>Reads <c>auth-issuer</c>, <c>auth-audience</c>, <c>auth-jwks</c> and <c>auth-tenant-claim</c>.</summary>
    public static TokenOptions? From(RoleSettings settings)
    {
        string[] names = ["auth-issuer", "auth-audience", "auth-jwks"];
        var values = Array.ConvertAll(names, settings.Optional);
        var claim = settings.Optional("auth-tenant-claim");
        if (values.All(value => value is null))
        {
            if (claim is not null)
            {
                settings.Wrong("auth-tenant-claim", "needs --auth-issuer, --auth-audience and --auth-jwks");
            }

            return null;
        }

        for (var i = 0; i < names.Length; i++)
        {
            if (string.IsNullOrEmpty(values[i]))
            {
                settings.Wrong(names[i], "must be given: --auth-issuer, --auth-audience and --auth-jwks go together");
            }
        }

        var options = new TokenOptions(values[0] ?? "", values[1] ?? "", values[2] ?? "");
        return claim is null ? options : options with { TenantClaim = claim };
    }
}

using System.Security.Claims;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using Microsoft.Extensions.Primitives;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>
/// Checks the bearer token (RFC 6750) of a call: a JSON Web Token (RFC 7519), signed by a key of the issuer that it names by its id.
/// </summary>
internal sealed class TokenCheck(RoleOptions options, AccessFiles files)
{
    private const string Bearer = "Bearer ";
    private const int MaxBytes = 16 << 10;

    // Asymmetric alone: with HMAC whoever checks tokens could make them, and "none" is no signature.
    private static readonly string[] Algorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"];
    private static readonly TimeSpan ClockSkew = TimeSpan.FromSeconds(30);

    private readonly JsonWebTokenHandler _handler = new() { MaximumTokenSizeInBytes = MaxBytes, MapInboundClaims = false };

    /// <summary>Who calls.</summary>
    /// <param name="authorization">The call's headers of that name.</param>
    /// <exception cref="LrtMeshException">Unauthenticated: no token, or one that is not good, and why.</exception>
    public async Task<Caller> CallerAsync(StringValues authorization)
    {
        if (options.Access.Tokens is not { } rules)
        {
            return Caller.Anyone;
        }

        if (authorization is not [{ } given] || !given.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase))
        {
            throw Refused(authorization.Count > 1 ? "there are several authorization headers" : "there is no token: metadata \"authorization\" must be \"Bearer TOKEN\"");
        }

        var token = Parse(given[Bearer.Length..].Trim());
        if (!Algorithms.Contains(token.Alg))
        {
            throw Refused($"its algorithm (alg) is not one of {string.Join(", ", Algorithms)}");
        }

        var result = await _handler.ValidateTokenAsync(token, Parameters(rules));
        return result.IsValid ? CallerOf(token, rules) : throw Refused(Why(result.Exception, rules));
    }

    private JsonWebToken Parse(string token)
    {
        try
        {
            return _handler.ReadJsonWebToken(token);
        }
        catch (ArgumentException)
        {
            throw Refused("it is not a JSON Web Token");
        }
    }

    private TokenValidationParameters Parameters(TokenOptions rules)
    {
        var keys = files.Keys!.Current;
        return new()
        {
            ValidIssuer = rules.Issuer,
            ValidAudience = rules.Audience,
            ValidAlgorithms = Algorithms,
            IssuerSigningKeyResolver = (_, _, id, _) => id is not null && keys.TryGetValue(id, out var key) ? [key] : [],
            TryAllIssuerSigningKeys = false,
            RequireSignedTokens = true,
            RequireExpirationTime = true,
            ClockSkew = ClockSkew,
        };
    }

    private static Caller CallerOf(JsonWebToken token, TokenOptions rules)
    {
        var claims = token.Claims.ToArray();
        var tenants = claims.Where(claim => claim.Type == rules.TenantClaim).Select(claim => claim.Value).ToArray();
        if (tenants.Length > 1 || tenants.Any(tenant => !RecordName.IsValid(tenant)))
        {
            throw Refused($"its claim \"{rules.TenantClaim}\" must be one name of 1 to {RecordName.MaxLength} characters of a-z A-Z 0-9 . _ - @ and /");
        }

        return new(token.Subject ?? "", tenants.FirstOrDefault() ?? "", claims.Where(IsScope).SelectMany(claim => claim.Value.Split(' ', StringSplitOptions.RemoveEmptyEntries)).ToHashSet(StringComparer.Ordinal));
    }

    private static bool IsScope(Claim claim) => claim.Type is "scope" or "scp";

    private static string Why(Exception? e, TokenOptions rules) => e switch
    {
        SecurityTokenExpiredException expired => $"it expired at {Certificates.Written(expired.Expires)}",
        SecurityTokenNotYetValidException early => $"it is not valid before {Certificates.Written(early.NotBefore)}",
        SecurityTokenNoExpirationException => "it has no expiry (exp)",
        SecurityTokenInvalidAudienceException => $"its audience (aud) is not '{rules.Audience}'",
        SecurityTokenInvalidIssuerException => $"its issuer (iss) is not '{rules.Issuer}'",
        SecurityTokenSignatureKeyNotFoundException => "its key (kid) is not one of the issuer's",
        SecurityTokenInvalidSignatureException => "its signature is not right",
        _ => "it cannot be checked",
    };

    private static LrtMeshException Refused(string why) => new(ErrorReason.Unauthenticated, $"the call needs a bearer token: {why}");
}

using System.Security.Cryptography;
using System.Text.Json;
using LrtMesh.ServiceDefaults.Access;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;

namespace LrtMesh.Services.Tests.Access;

/// <summary>An issuer of tokens, with its set of public keys in a file.</summary>
internal sealed class TestIssuer : IDisposable
{
    private static readonly RSA SharedRsa = RSA.Create(2048); // half a second to make
    private readonly ECDsa _ec = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public TestIssuer(string folder, string prefix = "")
    {
        (Rsa, Ec) = (new(SharedRsa) { KeyId = $"{prefix}rsa" }, new(_ec) { KeyId = $"{prefix}ec" });
        Options = new("https://issuer.example", "lrtmesh", Path.Combine(folder, $"{prefix}jwks.json"));
        WriteKeys(PublicOf(SharedRsa, Rsa.KeyId), PublicOf(_ec, Ec.KeyId));
    }

    public RsaSecurityKey Rsa { get; }

    public ECDsaSecurityKey Ec { get; }

    /// <summary>What a role is told of it.</summary>
    public TokenOptions Options { get; }

    public void WriteKeys(params object[] keys) => File.WriteAllText(Options.Jwks, JsonSerializer.Serialize(new { keys }));

    /// <summary>A token that is good, but for what is said.</summary>
    public string Token(
        string scope, string? tenant = null, string? audience = null, string? issuer = null, TimeSpan? expires = null, TimeSpan? notBefore = null, SigningCredentials? signing = null, string subject = "tester") =>
        new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = issuer ?? Options.Issuer,
            Audience = audience ?? Options.Audience,
            Expires = DateTime.UtcNow + (expires ?? TimeSpan.FromMinutes(5)),
            NotBefore = DateTime.UtcNow + (notBefore ?? TimeSpan.FromMinutes(-5)),
            Claims = tenant is null ? new Dictionary<string, object> { ["sub"] = subject, ["scope"] = scope } : new Dictionary<string, object> { ["sub"] = subject, ["scope"] = scope, ["tenant"] = tenant },
            SigningCredentials = signing ?? new(Ec, "ES256"),
        });

    public static object PublicOf(RSA key, string id) => new { kty = "RSA", kid = id, use = "sig", n = Base64UrlEncoder.Encode(key.ExportParameters(false).Modulus), e = Base64UrlEncoder.Encode(key.ExportParameters(false).Exponent) };

    public static object PublicOf(ECDsa key, string id) => new { kty = "EC", kid = id, use = "sig", crv = "P-256", x = Base64UrlEncoder.Encode(key.ExportParameters(false).Q.X), y = Base64UrlEncoder.Encode(key.ExportParameters(false).Q.Y) };

    public void Dispose() => _ec.Dispose();
}

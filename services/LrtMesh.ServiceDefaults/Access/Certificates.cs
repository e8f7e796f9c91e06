using System.Globalization;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using LrtMesh.Core;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>Where a certificate (with those between it and its authority, if any, after it) and its private key lie, in PEM.</summary>
public sealed record CertificateFiles(string Certificate, string Key);

/// <summary>Certificates as the files have them.</summary>
internal static class Certificates
{
    /// <summary>A certificate with its key, as a handshake takes it.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: it has expired, or is not valid yet.</exception>
    /// <exception cref="CryptographicException">No certificate, or another one's key.</exception>
    public static SslStreamCertificateContext WithKey(string certificate, string key)
    {
        var own = X509Certificate2.CreateFromPem(certificate, key);
        var (now, from, until) = (DateTime.UtcNow, own.NotBefore.ToUniversalTime(), own.NotAfter.ToUniversalTime());
        if (now >= until || now < from)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"the certificate {own.Subject} is valid from {Written(from)} to {Written(until)}, and now it is {Written(now)}");
        }

        var chain = new X509Certificate2Collection();
        chain.ImportFromPem(certificate);
        return SslStreamCertificateContext.Create(own, chain, offline: true);
    }

    /// <summary>The certificates of authorities.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: there is none.</exception>
    public static X509Certificate2Collection Authorities(string pem)
    {
        var authorities = new X509Certificate2Collection();
        authorities.ImportFromPem(pem);
        return authorities.Count > 0 ? authorities : throw new LrtMeshException(ErrorReason.FailedPrecondition, "there is no certificate in it: an authority's, in PEM, is wanted");
    }

    /// <summary>Trust in these authorities, and in no others. Revocation is not asked for: a private authority has seldom a list, so certificates should be short-lived.</summary>
    public static X509ChainPolicy TrustIn(X509Certificate2Collection authorities)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        policy.CustomTrustStore.AddRange(authorities);
        return policy;
    }

    /// <summary>A time in a message.</summary>
    public static string Written(DateTime time) => time.ToUniversalTime().ToString("u", CultureInfo.InvariantCulture);
}

using LrtMesh.Core;
using Microsoft.IdentityModel.Tokens;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>Public keys of a JSON Web Key Set (RFC 7517), by their ids.</summary>
internal static class TokenKeys
{
    /// <summary>Reads a set.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: it is no set, or has a key that does not serve to check signatures.</exception>
    public static IReadOnlyDictionary<string, SecurityKey> Parse(string json)
    {
        JsonWebKeySet set;
        try
        {
            set = new JsonWebKeySet(json);
        }
        catch (ArgumentException e)
        {
            throw Wrong($"is not a JSON Web Key Set, {{\"keys\": [...]}}: {e.Message}");
        }

        var keys = new Dictionary<string, SecurityKey>(StringComparer.Ordinal);
        foreach (var key in set.Keys.Where(key => key.Use is null or "sig"))
        {
            if (string.IsNullOrEmpty(key.Kid))
            {
                throw Wrong("has a key without an id (kid): a token names its key by it");
            }

            // A symmetric key lets whoever checks tokens also make them.
            if (key.Kty is not ("RSA" or "EC"))
            {
                throw Wrong($"has the key '{key.Kid}' of type '{key.Kty}', and RSA and EC are taken");
            }

            if (key.HasPrivateKey)
            {
                throw Wrong($"has the private part of the key '{key.Kid}', which belongs to the issuer alone");
            }

            if (!JsonWebKeyConverter.TryConvertToSecurityKey(key, out var usable))
            {
                throw Wrong($"has the key '{key.Kid}', which cannot be read");
            }

            usable.KeyId = key.Kid;
            if (!keys.TryAdd(key.Kid, usable))
            {
                throw Wrong($"has two keys '{key.Kid}'");
            }
        }

        return keys.Count > 0 ? keys : throw Wrong("has no key to check signatures with");
    }

    private static LrtMeshException Wrong(string why) => new(ErrorReason.FailedPrecondition, $"the set of keys {why}");
}

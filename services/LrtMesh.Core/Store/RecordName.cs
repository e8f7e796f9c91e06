using System.Buffers;

namespace LrtMesh.Core.Store;

/// <summary>
/// What a record may be called. A name becomes the hash tag of the record's keys, so the characters allowed leave out braces.
/// </summary>
public static class RecordName
{
    /// <summary>Characters at most.</summary>
    public const int MaxLength = 128;

    private static readonly SearchValues<char> Allowed =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/@");

    /// <summary>Whether something can be stored under a name.</summary>
    public static bool IsValid(string name) => name.Length is > 0 and <= MaxLength && !name.AsSpan().ContainsAnyExcept(Allowed);

    /// <summary>Passes a name that can be stored.</summary>
    /// <param name="name">The name.</param>
    /// <param name="field">Proto path that an error names.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: empty, too long, or a character that is not allowed.</exception>
    public static void Check(string name, string field)
    {
        if (name.Length == 0)
        {
            throw LrtMeshException.Invalid(field, Rule);
        }

        CheckPrefix(name, field);
    }

    /// <summary>Passes what names can start with, the empty text included.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument: too long, or a character that is not allowed.</exception>
    internal static void CheckPrefix(string prefix, string field)
    {
        if (prefix.Length > MaxLength || prefix.AsSpan().ContainsAnyExcept(Allowed))
        {
            throw LrtMeshException.Invalid(field, Rule);
        }
    }

    private const string Rule = "must be 1 to 128 characters of a-z A-Z 0-9 . _ - @ and /";
}

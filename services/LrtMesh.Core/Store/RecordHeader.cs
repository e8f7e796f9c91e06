using System.Globalization;
using Google.Protobuf;
using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>
/// What is known of a record before its payload is read: a hash under the record's key. It is written last, and names the one write
/// whose pieces belong to it.
/// </summary>
/// <param name="Write">Id of the write that made this version; part of the keys of its pieces.</param>
/// <param name="Version">Counts up with each replacement, from 1.</param>
/// <param name="Info">Description, as protobuf bytes.</param>
/// <param name="Length">Bytes of payload.</param>
/// <param name="PayloadDigest">SHA-256 of the payload.</param>
/// <param name="Older">The versions before it that are kept for a time, oldest first.</param>
internal sealed record RecordHeader(string Write, ulong Version, byte[] Info, long Length, string PayloadDigest, IReadOnlyList<OlderVersion> Older)
{
    /// <summary>Version of the layout described here.</summary>
    public const int Schema = 1;

    /// <summary>The fields that are read, in the order that <see cref="Parse"/> takes them.</summary>
    public static readonly RedisValue[] Fields =
        ["schema", "write", "version", "info", "info_digest", "length", "pieces", "payload_digest", "older"];

    /// <summary>The hash that is written.</summary>
    public HashEntry[] Entries() =>
    [
        new("schema", Schema),
        new("write", Write),
        new("version", Version.ToString(CultureInfo.InvariantCulture)),
        new("info", Info),
        new("info_digest", DigestOf(Info)),
        new("length", Length),
        new("pieces", Payload.PiecesOf(Length)),
        new("payload_digest", PayloadDigest),
        new("older", OlderVersion.Note(Older)),
    ];

    /// <summary>Reads a header whose fields hold together.</summary>
    /// <param name="values">Values of <see cref="Fields"/>.</param>
    /// <param name="fault">What is wrong; null if nothing is.</param>
    /// <returns>The header, or null where something is wrong.</returns>
    public static RecordHeader? Parse(RedisValue[] values, out string? fault)
    {
        fault = null;
        if (!values[0].TryParse(out int schema))
        {
            fault = "its schema version is missing";
        }
        else if (schema != Schema)
        {
            fault = $"its schema version is {schema}, which never was"; // a newer one is refused before
        }
        else if (values[..^1].Any(value => value.IsNull) || !ulong.TryParse((string?)values[2], CultureInfo.InvariantCulture, out _)
            || !Guid.TryParseExact(values[1], "N", out _))
        {
            fault = "a field of its header is missing or unreadable";
        }
        else if (DigestOf((byte[])values[3]!) != values[4])
        {
            fault = "its description does not match its digest";
        }
        else if (!values[5].TryParse(out long length) || length is < 0 or > Payload.MaxBytes
            || !values[6].TryParse(out long pieces) || pieces != Payload.PiecesOf(length))
        {
            fault = "its length and its number of pieces do not fit";
        }
        else
        {
            return new RecordHeader(
                values[1]!, ulong.Parse((string)values[2]!, CultureInfo.InvariantCulture), (byte[])values[3]!, length, values[7]!, OlderOf(values) ?? []);
        }

        return null;
    }

    /// <summary>Refuses what a newer build has written: it can be neither read, nor replaced or deleted with all that belongs to it.</summary>
    /// <param name="schema">The record's schema version.</param>
    /// <param name="known">The highest that is read here.</param>
    /// <param name="what">The record, for the error.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition.</exception>
    public static void RefuseNewer(RedisValue schema, int known, string what)
    {
        if (schema.TryParse(out int version) && version > known)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, $"{what} in the store was written by a newer version of LrtMesh (record schema {version}, and this one knows {known}): upgrade this role");
        }
    }

    /// <summary>Its version, also where the header is damaged; 0 if there is none.</summary>
    public static ulong VersionOf(RedisValue[] values) =>
        ulong.TryParse((string?)values[2], CultureInfo.InvariantCulture, out var version) ? version : 0;

    /// <summary>Version of what replaces it: above all that are there, also where the header is damaged.</summary>
    public static ulong NextVersionOf(RedisValue[] values) =>
        (OlderOf(values) ?? []).Select(older => older.Version).Append(VersionOf(values)).Max() + 1;

    /// <summary>The versions before it that are kept, also where the header is damaged; null if they cannot be read.</summary>
    public static IReadOnlyList<OlderVersion>? OlderOf(RedisValue[] values) => OlderVersion.Parse(values[8]);

    /// <summary>Pieces that go when the header does, also where it is damaged.</summary>
    public static int PiecesOf(RedisValue[] values) =>
        values[6].TryParse(out long pieces) ? (int)Math.Clamp(pieces, 0, Payload.PiecesOf(Payload.MaxBytes)) : 0;

    private static string DigestOf(byte[] info)
    {
        using var digest = new ContentDigest();
        return digest.AddBytes(info).Finish();
    }
}

using System.Globalization;

namespace LrtMesh.Core.Store;

/// <summary>A version of a record that another has replaced and that is kept for a time, as the header of the newest notes it.</summary>
/// <param name="Version">Its number.</param>
/// <param name="Write">Id of the write that made it; part of the keys of its pieces.</param>
/// <param name="Pieces">Number of its pieces.</param>
internal sealed record OlderVersion(ulong Version, string Write, int Pieces)
{
    /// <summary>Older versions that a record has at most.</summary>
    public const int MaxKept = 8;

    /// <summary>How they are noted: version, write and pieces of each with colons between, oldest first, with spaces between.</summary>
    public static string Note(IEnumerable<OlderVersion> versions) =>
        string.Join(' ', versions.Select(version => string.Create(CultureInfo.InvariantCulture, $"{version.Version}:{version.Write}:{version.Pieces}")));

    /// <summary>Reads what <see cref="Note"/> has written.</summary>
    /// <param name="noted">The note; null or empty: there are none.</param>
    /// <returns>The versions, oldest first; null if the note is unreadable.</returns>
    public static IReadOnlyList<OlderVersion>? Parse(string? noted)
    {
        var versions = new List<OlderVersion>();
        foreach (var text in (noted ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            var parts = text.Split(':');
            if (parts.Length != 3 || !ulong.TryParse(parts[0], CultureInfo.InvariantCulture, out var version) || !Guid.TryParseExact(parts[1], "N", out _)
                || !int.TryParse(parts[2], NumberStyles.None, CultureInfo.InvariantCulture, out var pieces) || pieces > Payload.PiecesOf(Payload.MaxBytes))
            {
                return null;
            }

            versions.Add(new OlderVersion(version, parts[1], pieces));
        }

        return versions;
    }
}

using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace LrtMesh.Cli.Backup;

/// <summary>A record of a backup.</summary>
/// <param name="Kind">vector, map or basis.</param>
/// <param name="Name">Its name.</param>
/// <param name="Version">Its version when it was written.</param>
/// <param name="Digest">Its content digest.</param>
/// <param name="File">Its file, relative to the folder.</param>
/// <param name="Sha256">Of the file, in hexadecimal digits.</param>
internal sealed record BackupRecord(string Kind, string Name, ulong Version, string Digest, string File, string Sha256);

/// <summary>
/// All vectors, maps and bases of a mesh in a folder: a file for each, and backup.json, which lists them and is written last. While a backup is being made a
/// journal lists what is there already, so that one that was interrupted goes on, and a later one writes only what has changed since.
/// </summary>
internal sealed class BackupFolder
{
    private const string Format = "lrtmesh.backup.1";
    private const string List = "backup.json";
    private const string Journal = "backup.partial.jsonl";
    private const int NameInFile = 80; // characters of a record's name that its file's has; the rest tells it from others

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web) { WriteIndented = true };
    private static readonly JsonSerializerOptions JsonLine = new(JsonSerializerDefaults.Web);

    private readonly string _path;
    private readonly Dictionary<(string Kind, string Name), BackupRecord> _known = [];
    private readonly List<BackupRecord> _kept = [];

    private BackupFolder(string path) => _path = path;

    /// <summary>Opens a folder to make a backup in it, or to bring the one in it up to date.</summary>
    /// <exception cref="CommandException">The folder holds something else.</exception>
    public static BackupFolder ToWrite(string path)
    {
        Directory.CreateDirectory(path);
        var folder = new BackupFolder(path);
        bool begun = File.Exists(folder.In(List)) || File.Exists(folder.In(Journal));
        if (!begun && Directory.EnumerateFileSystemEntries(path).Any())
        {
            throw new CommandException($"{path}: holds something else than a backup.", "Name a folder that is empty or not there.");
        }

        foreach (var record in (File.Exists(folder.In(List)) ? Read(path) : []).Concat(File.Exists(folder.In(Journal)) ? folder.Journaled() : []))
        {
            folder._known[(record.Kind, record.Name)] = record;
        }

        File.AppendAllText(folder.In(Journal), "");
        return folder;
    }

    /// <summary>The records of a backup.</summary>
    /// <exception cref="CommandException">There is no whole backup.</exception>
    public static IReadOnlyList<BackupRecord> Read(string path)
    {
        string list = System.IO.Path.Combine(path, List);
        if (!File.Exists(list))
        {
            throw new CommandException($"{path}: no whole backup is there.", "A backup has the file backup.json, which comes last: lrtmesh export --all FOLDER goes on where it was interrupted.");
        }

        try
        {
            var content = JsonSerializer.Deserialize<Content>(File.ReadAllBytes(list), Json);
            return content?.Format == Format && content.Records is { } records && records.All(record => record is { Name: not null, Digest: not null, Sha256: not null } && IsWithin(record.File))
                ? records
                : throw new CommandException($"{list}: not the list of a backup.");
        }
        catch (JsonException e)
        {
            throw new CommandException($"{list}: not the list of a backup: {e.Message}", inner: e);
        }
    }

    /// <summary>Refuses a file that is not what was written.</summary>
    /// <exception cref="CommandException">It is gone or damaged.</exception>
    public static void Check(string path, BackupRecord record)
    {
        string file = System.IO.Path.Combine(path, record.File);
        if (!File.Exists(file) || Sha256Of(file) != record.Sha256)
        {
            throw new CommandException($"{file}: {(File.Exists(file) ? "is damaged: it is not what was written" : "is gone")} ({record.Kind} {record.Name}).", "Nothing was imported. Take another copy of the backup.");
        }
    }

    /// <summary>Keeps a record's file if it is there, whole and of this version.</summary>
    public bool Keep(string kind, string name, ulong version, string digest)
    {
        if (_known.GetValueOrDefault((kind, name)) is not { } known || known.Version != version || known.Digest != digest
            || !File.Exists(In(known.File)) || Sha256Of(In(known.File)) != known.Sha256)
        {
            return false;
        }

        _kept.Add(known);
        return true;
    }

    /// <summary>Where a record's file is to be written.</summary>
    public string PathOf(string kind, string name)
    {
        Directory.CreateDirectory(In(kind));
        return In(FileOf(kind, name));
    }

    /// <summary>Notes a record whose file has been written.</summary>
    public void Add(string kind, string name, ulong version, string digest)
    {
        var record = new BackupRecord(kind, name, version, digest, FileOf(kind, name), Sha256Of(PathOf(kind, name)));
        File.AppendAllText(In(Journal), JsonSerializer.Serialize(record, JsonLine) + "\n");
        _kept.Add(record);
    }

    /// <summary>Ends the backup: what was not kept or added is taken away.</summary>
    public async Task FinishAsync(CancellationToken cancellation)
    {
        string partial = In(List + ".partial");
        await File.WriteAllBytesAsync(partial, JsonSerializer.SerializeToUtf8Bytes(new Content(Format, DateTime.UtcNow, _kept), Json), cancellation);
        File.Move(partial, In(List), overwrite: true);
        File.Delete(In(Journal));
        var kept = _kept.Select(record => In(record.File)).ToHashSet(StringComparer.Ordinal);
        foreach (var record in _known.Values.Where(record => !kept.Contains(In(record.File))))
        {
            File.Delete(In(record.File));
        }
    }

    /// <summary>A file for each name, whatever characters it has, also where upper and lower case are one.</summary>
    private static string FileOf(string kind, string name)
    {
        string readable = string.Concat(name.Take(NameInFile).Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '@' ? c : '_'));
        return $"{kind}/{readable}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(name)))[..16]}.safetensors";
    }

    private static bool IsWithin(string? file) =>
        file is not null && file.Split('/') is [not ("" or "." or ".."), not ("" or "." or "..")] && file.IndexOf('\\', StringComparison.Ordinal) < 0;

    private static string Sha256Of(string file)
    {
        using var content = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(content));
    }

    /// <summary>The lines of the journal that are whole: the last may have been cut off.</summary>
    private IEnumerable<BackupRecord> Journaled()
    {
        foreach (string line in File.ReadAllLines(In(Journal)))
        {
            BackupRecord? record;
            try
            {
                record = JsonSerializer.Deserialize<BackupRecord>(line, JsonLine);
            }
            catch (JsonException)
            {
                continue;
            }

            if (record is not null && IsWithin(record.File))
            {
                yield return record;
            }
        }
    }

    private string In(string name) => System.IO.Path.Combine(_path, name);

    private sealed record Content(string Format, DateTime Made, IReadOnlyList<BackupRecord>? Records);
}

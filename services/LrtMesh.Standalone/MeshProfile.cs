using System.Text.Json;
using System.Text.Json.Serialization;
using LrtMesh.Core;

namespace LrtMesh.Standalone;

/// <summary>Where the roles of a mesh listen: the file mesh.json. Several processes may each add a role to one file.</summary>
/// <param name="Extraction">Address of the extraction role, as http://HOST:PORT.</param>
/// <param name="Mapping">Address of the mapping role.</param>
/// <param name="Generation">Address of the generation role.</param>
/// <param name="Store">What keeps vectors and maps, for people.</param>
internal sealed record MeshProfile(string? Extraction, string? Mapping, string? Generation, string? Store)
{
    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(10);
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        WriteIndented = true,
    };

    /// <summary>Addresses that serve hidden states.</summary>
    [JsonIgnore]
    public IReadOnlyList<Uri> Endpoints => [.. new[] { Extraction, Generation }.OfType<string>().Select(address => new Uri(address))];

    /// <summary>Reads a profile; an empty one where there is no file.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: the file is not a profile.</exception>
    public static MeshProfile Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<MeshProfile>(File.ReadAllBytes(path), Json) ?? new(null, null, null, null);
        }
        catch (FileNotFoundException)
        {
            return new(null, null, null, null);
        }
        catch (JsonException e)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: is not a mesh profile ({e.Message}); delete it or name another with --profile", e);
        }
    }

    /// <summary>Changes a profile as it stands now: readers see the old file or the new one, and writers take turns.</summary>
    /// <param name="path">The file; deleted when no role is left in it.</param>
    /// <param name="change">What to make of it.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: the file cannot be written or is not a profile.</exception>
    public static async Task UpdateAsync(string path, Func<MeshProfile, MeshProfile> change)
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            await using var turn = await TakeTurnAsync(path + ".lock");
            var profile = change(Read(path));
            if (profile is { Extraction: null, Mapping: null, Generation: null })
            {
                File.Delete(path);
                return;
            }

            var written = $"{path}.{Environment.ProcessId}";
            await File.WriteAllBytesAsync(written, JsonSerializer.SerializeToUtf8Bytes(profile, Json));
            File.Move(written, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: the mesh profile cannot be written: {e.Message}", e);
        }
    }

    private static async Task<FileStream> TakeTurnAsync(string path)
    {
        for (var until = DateTime.UtcNow + LockPatience; ; await Task.Delay(20))
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose);
            }
            catch (IOException) when (DateTime.UtcNow < until && Directory.Exists(Path.GetDirectoryName(Path.GetFullPath(path))))
            {
                // Another process writes.
            }
        }
    }
}

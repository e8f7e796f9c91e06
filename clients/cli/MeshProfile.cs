using System.Text.Json;

namespace LrtMesh.Cli;

/// <summary>Where the roles of a mesh listen: the file mesh.json that <c>lrtmesh up</c> writes.</summary>
/// <param name="Extraction">Address of the extraction role, such as http://127.0.0.1:5001.</param>
/// <param name="Mapping">Address of the mapping role.</param>
/// <param name="Generation">Address of the generation role.</param>
/// <param name="Store">What keeps vectors and maps, such as "garnet 127.0.0.1:6400"; for people.</param>
internal sealed record MeshProfile(string Extraction, string Mapping, string Generation, string Store)
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNameCaseInsensitive = true };

    /// <summary>Reads a profile.</summary>
    /// <exception cref="CommandException">There is no such file, or an address is missing or malformed.</exception>
    public static MeshProfile Read(string path)
    {
        MeshProfile? profile;
        try
        {
            profile = JsonSerializer.Deserialize<MeshProfile>(File.ReadAllBytes(path), Json);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{path}: the mesh profile cannot be read: {e.Message}", "`lrtmesh up` starts a mesh and writes its profile; without --mesh a command starts a mesh of its own.", e);
        }
        catch (JsonException e)
        {
            throw new CommandException($"{path}: not a mesh profile: {e.Message}", Expected, e);
        }

        if (profile is null)
        {
            throw new CommandException($"{path}: not a mesh profile", Expected);
        }

        CheckAddress(path, "extraction", profile.Extraction);
        CheckAddress(path, "mapping", profile.Mapping);
        CheckAddress(path, "generation", profile.Generation);
        return profile with { Store = profile.Store ?? "unknown" };
    }

    private const string Expected = """A profile is {"extraction":"http://HOST:PORT","mapping":"http://HOST:PORT","generation":"http://HOST:PORT","store":"garnet HOST:PORT"}.""";

    private static void CheckAddress(string path, string role, string? address)
    {
        if (!Uri.TryCreate(address, UriKind.Absolute, out var uri) || uri.Scheme is not ("http" or "https" or "dns"))
        {
            throw new CommandException($"{path}: {role}: '{address}' is not an address", Expected);
        }
    }
}

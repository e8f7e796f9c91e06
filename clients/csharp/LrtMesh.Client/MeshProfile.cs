using System.Text.Json;

namespace LrtMesh.Client;

/// <summary>Where the roles of a mesh listen.</summary>
/// <param name="Extraction">Address of the extraction role, such as http://127.0.0.1:5001, or dns:///HOST:PORT for all replicas behind a name.</param>
/// <param name="Mapping">Address of the mapping role.</param>
/// <param name="Generation">Address of the generation role.</param>
public sealed record MeshProfile(string Extraction, string Mapping, string Generation)
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNameCaseInsensitive = true };

    /// <summary>Reads mesh.json, which <c>lrtmesh up</c> writes.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">It is not a profile.</exception>
    public static MeshProfile Read(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<MeshProfile>(File.ReadAllBytes(path), Json) is { Extraction: not null, Mapping: not null, Generation: not null } profile
                ? profile
                : throw new InvalidDataException($"{path} lacks the address of a role");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path} is not a mesh profile: {e.Message}", e);
        }
    }
}

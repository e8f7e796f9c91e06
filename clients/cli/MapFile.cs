using System.Runtime.CompilerServices;
using Google.Protobuf;
using Grpc.Core;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>
/// A map as a safetensors file: float32 tensors A [target, source], b [target] and, where the map knows what it was fitted on, the
/// source's mean, scale, directions, variances and rest; the whole description as JSON under "lrtmesh.map" in the metadata.
/// </summary>
internal static class MapFile
{
    private const string Format = "lrtmesh.map.1";
    private const string Key = "lrtmesh.map";
    private static readonly string[] Names = ["A", "b", "source.mean", "source.scale", "source.directions", "source.variances", "source.rest"];

    /// <summary>Writes a map that the mesh sends.</summary>
    /// <returns>Its description.</returns>
    /// <exception cref="CommandException">The server broke the contract.</exception>
    public static async Task<AffineMap> SaveAsync(string path, IAsyncStreamReader<ExportMapResponse> parts, CancellationToken cancellation)
    {
        if (!await parts.MoveNext(cancellation) || parts.Current.Content is not { } content || content.Tensors.Count > Names.Length)
        {
            throw new CommandException("The server sent something else than a map.");
        }

        await TensorFile.SaveAsync(
            path, content.Tensors, Names, Chunks(parts, cancellation),
            new Dictionary<string, string> { ["format"] = Format, ["digest"] = content.Map.Digest, [Key] = JsonFormatter.Default.Format(content.Map) }, cancellation);
        return content.Map;
    }

    /// <summary>Reads a file as the messages that import it; pieces are read as they are sent.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">Another name for the map; null: its own.</param>
    /// <exception cref="CommandException">Not such a file.</exception>
    public static IEnumerable<ImportMapRequest> Read(string path, string? name)
    {
        using var file = TensorFile.Open(path, "map", Format, Key, Names);
        var map = file.Description<AffineMap>();
        map.Name = name ?? map.Name;
        yield return new ImportMapRequest { Content = new MapContent { Map = map, Tensors = { file.Headers } } };
        foreach (var chunk in file.Chunks())
        {
            yield return new ImportMapRequest { Chunk = chunk };
        }
    }

    private static async IAsyncEnumerable<TensorChunk?> Chunks(IAsyncStreamReader<ExportMapResponse> parts, [EnumeratorCancellation] CancellationToken cancellation)
    {
        while (await parts.MoveNext(cancellation))
        {
            yield return parts.Current.Chunk;
        }
    }
}

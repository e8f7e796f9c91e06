using System.Globalization;
using System.Runtime.CompilerServices;
using Google.Protobuf;
using Grpc.Core;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>
/// A basis as a safetensors file: of model N, counted from 0, float32 tensors N.mean [width], N.read [rank, width], N.write [width, rank] and, where the basis was
/// fitted on it, N.combine [rank, width]; the whole description as JSON under "lrtmesh.basis" in the metadata.
/// </summary>
internal static class BasisFile
{
    private const string Format = "lrtmesh.basis.1";
    private const string Key = "lrtmesh.basis";

    /// <summary>Writes a basis that the mesh sends.</summary>
    /// <returns>Its description.</returns>
    /// <exception cref="CommandException">The server broke the contract.</exception>
    public static async Task<SharedBasis> SaveAsync(string path, IAsyncStreamReader<ExportBasisResponse> parts, CancellationToken cancellation)
    {
        if (!await parts.MoveNext(cancellation) || parts.Current.Content is not { } content || Names(content.Basis) is not { } names || names.Length != content.Tensors.Count)
        {
            throw new CommandException("The server sent something else than a basis.");
        }

        await TensorFile.SaveAsync(
            path, content.Tensors, names, Chunks(parts, cancellation),
            new Dictionary<string, string> { ["format"] = Format, ["digest"] = content.Basis.Digest, [Key] = JsonFormatter.Default.Format(content.Basis) }, cancellation);
        return content.Basis;
    }

    /// <summary>Reads a file as the messages that import it; pieces are read as they are sent.</summary>
    /// <exception cref="CommandException">Not such a file.</exception>
    public static IEnumerable<ImportBasisRequest> Read(string path)
    {
        SharedBasis basis;
        using (var described = TensorFile.Open(path, "basis", Format, Key, []))
        {
            basis = described.Description<SharedBasis>();
        }

        using var file = TensorFile.Open(path, "basis", Format, Key, Names(basis));
        yield return new ImportBasisRequest { Content = new BasisContent { Basis = basis, Tensors = { file.Headers } } };
        foreach (var chunk in file.Chunks())
        {
            yield return new ImportBasisRequest { Chunk = chunk };
        }
    }

    private static string[] Names(SharedBasis basis) => [.. basis.Models.SelectMany((model, i) =>
        (model.Founder ? (string[])["mean", "read", "write", "combine"] : ["mean", "read", "write"]).Select(part => string.Create(CultureInfo.InvariantCulture, $"{i}.{part}")))];

    private static async IAsyncEnumerable<TensorChunk?> Chunks(IAsyncStreamReader<ExportBasisResponse> parts, [EnumeratorCancellation] CancellationToken cancellation)
    {
        while (await parts.MoveNext(cancellation))
        {
            yield return parts.Current.Chunk;
        }
    }
}

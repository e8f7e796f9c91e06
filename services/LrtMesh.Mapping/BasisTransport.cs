using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>Bases on their way out of the store and into it: a description, and the chunks of its tensors.</summary>
internal static class BasisTransport
{
    private const long MaxElements = 1L << 28; // 1 GiB, as much as the store takes
    private const uint MaxWidth = 1 << 20;
    private const int MaxModels = 1024;

    /// <summary>Sends a basis.</summary>
    public static async Task SendAsync(StoredBasis basis, IServerStreamWriter<ExportBasisResponse> responses, CancellationToken cancellation)
    {
        var tensors = basis.Tensors();
        var content = new BasisContent { Basis = basis.Info };
        content.Tensors.AddRange(StoredBasis.ShapesOf(basis.Info).Select(shape => TensorCodec.Header(Dtype.Float32, [.. shape.Select(size => (int)size)])));
        await responses.WriteAsync(new ExportBasisResponse { Content = content }, cancellation);
        for (var i = 0; i < tensors.Count; i++)
        {
            foreach (var chunk in TensorChunks.Split(i, tensors[i]))
            {
                await responses.WriteAsync(new ExportBasisResponse { Chunk = chunk }, cancellation);
            }
        }
    }

    /// <summary>Takes a basis.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument, naming what is wrong; ResourceExhausted: there is no memory for it; DataLoss: its elements are not those of its digest.</exception>
    public static async Task<StoredBasis> ReceiveAsync(IAsyncStreamReader<ImportBasisRequest> requests, CallMemory.Share memory, CancellationToken cancellation)
    {
        if (!await requests.MoveNext(cancellation) || requests.Current.Content is not { } content)
        {
            throw LrtMeshException.Invalid("content", "must be the first message of the stream");
        }

        var info = content.Basis ?? new SharedBasis();
        Check(info, content);
        var assembler = new TensorAssembler(content.Tensors, "content.tensors", MaxElements);
        memory.Take(assembler.Memory, "tensors of this size", "content.tensors");
        while (!assembler.IsComplete)
        {
            if (!await requests.MoveNext(cancellation) || requests.Current.Chunk is not { } chunk)
            {
                throw LrtMeshException.Invalid("chunk", "must follow until every announced byte has come");
            }

            assembler.Add(chunk, "chunk");
        }

        float[][] tensors = [.. Enumerable.Range(0, content.Tensors.Count).Select(i => assembler.Tensor(i, "chunk"))];
        if (tensors.Any(tensor => !tensor.All(float.IsFinite)))
        {
            throw LrtMeshException.Invalid("chunk", "must hold finite numbers");
        }

        var basis = StoredBasis.Of(info, tensors);
        return info.Digest.Length == 0 || basis.Info.Digest == info.Digest
            ? basis
            : throw new LrtMeshException(ErrorReason.DataLoss, [new Violation("content.basis.digest", $"says {info.Digest}, and the models, layers and elements make {basis.Info.Digest}: the basis was damaged or changed")]);
    }

    private static void Check(SharedBasis info, BasisContent content)
    {
        var check = new RequestCheck();
        check.Name(info.Name, "content.basis.name");
        check.Require(info.Rank is > 0 and <= MaxWidth, "content.basis.rank", $"must be at least 1 and at most {MaxWidth}, not {info.Rank}");
        check.Require(info.Models.Count is >= 2 and <= MaxModels, "content.basis.models", $"must be at least 2 and at most {MaxModels}, not {info.Models.Count}");
        check.Require(info.Agreement.Count == info.Rank, "content.basis.agreement", $"must be {info.Rank}, one for each coordinate, not {info.Agreement.Count}");
        for (var i = 0; i < info.Models.Count; i++)
        {
            check.Require(info.Models[i].Layer?.Model.Length > 0, $"content.basis.models[{i}].layer.model", "must name a model");
            check.Require(info.Models[i].Width is > 0 and <= MaxWidth, $"content.basis.models[{i}].width", $"must be at least 1 and at most {MaxWidth}, not {info.Models[i].Width}");
        }

        check.Throw();
        var shapes = StoredBasis.ShapesOf(info);
        if (check.Require(content.Tensors.Count == shapes.Count, "content.tensors", $"must be {shapes.Count}, not {content.Tensors.Count}: mean, read and write of each model, and of each founder its part in the coordinates"))
        {
            for (var i = 0; i < shapes.Count; i++)
            {
                check.Require(content.Tensors[i].Shape.SequenceEqual(shapes[i]), $"content.tensors[{i}].shape", $"must be [{string.Join(", ", shapes[i])}]");
            }
        }

        check.Throw();
    }
}

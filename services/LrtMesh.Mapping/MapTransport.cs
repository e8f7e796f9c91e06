using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Maps;
using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;
using AffineMap = LrtMesh.Core.Maps.AffineMap;

namespace LrtMesh.Mapping;

/// <summary>Maps on their way out of the store and into it: a description, and the chunks of its tensors.</summary>
internal static class MapTransport
{
    private const long MaxElements = 1L << 28; // 1 GiB, as much as the store takes
    private const int WithoutRegion = 2;
    private const int WithRegion = 7;

    /// <summary>Sends a map.</summary>
    public static async Task SendAsync(AffineMap map, IServerStreamWriter<ExportMapResponse> responses, CancellationToken cancellation)
    {
        var (ds, dt, k) = ((int)map.Info.SourceWidth, (int)map.Info.TargetWidth, (int)map.Info.RegionDirections);
        int[][] shapes = [[dt, ds], [dt], [ds], [ds], [k, ds], [k], [2]];
        float[][] tensors = [map.A, map.B, .. map.Region?.Arrays() ?? []];
        var content = new MapContent { Map = map.Info };
        content.Tensors.AddRange(tensors.Select((_, i) => TensorCodec.Header(Dtype.Float32, shapes[i])));
        await responses.WriteAsync(new ExportMapResponse { Content = content }, cancellation);
        for (var i = 0; i < tensors.Length; i++)
        {
            foreach (var chunk in TensorChunks.Split(i, tensors[i]))
            {
                await responses.WriteAsync(new ExportMapResponse { Chunk = chunk }, cancellation);
            }
        }
    }

    /// <summary>Takes a map.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument, naming what is wrong; ResourceExhausted: there is no memory for it; DataLoss: its elements are not those of its digest.</exception>
    public static async Task<AffineMap> ReceiveAsync(IAsyncStreamReader<ImportMapRequest> requests, CallMemory.Share memory, CancellationToken cancellation)
    {
        if (!await requests.MoveNext(cancellation) || requests.Current.Content is not { } content)
        {
            throw LrtMeshException.Invalid("content", "must be the first message of the stream");
        }

        var (info, k) = (content.Map ?? new V1.AffineMap(), (int)(content.Map?.RegionDirections ?? 0));
        var check = new RequestCheck();
        check.Name(info.Name, "content.map.name");
        check.Require(info.Source?.Model.Length > 0, "content.map.source.model", "must name a model");
        check.Require(info.Target?.Model.Length > 0, "content.map.target.model", "must name a model");
        check.Require(info.SourceWidth > 0 && info.TargetWidth > 0, "content.map.source_width", "must be at least 1, and target_width too");
        check.Require(k >= 0 && k <= info.SourceWidth, "content.map.region_directions", $"must be 0 to {info.SourceWidth}, the source's width");
        var wanted = k > 0 ? WithRegion : WithoutRegion;
        if (check.Require(content.Tensors.Count == wanted, "content.tensors", $"must be {wanted}, not {content.Tensors.Count}: A and b, and five more where region_directions is not 0"))
        {
            ulong[][] shapes = [[info.TargetWidth, info.SourceWidth], [info.TargetWidth], [info.SourceWidth], [info.SourceWidth], [(ulong)k, info.SourceWidth], [(ulong)k], [2]];
            for (var i = 0; i < wanted; i++)
            {
                check.Require(content.Tensors[i].Shape.SequenceEqual(shapes[i]), $"content.tensors[{i}].shape", $"must be [{string.Join(", ", shapes[i])}]");
            }
        }

        check.Throw();
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

        var tensors = Enumerable.Range(0, wanted).Select(i => assembler.Tensor(i, "chunk")).ToArray();
        if (tensors.Any(tensor => !tensor.All(float.IsFinite)))
        {
            throw LrtMeshException.Invalid("chunk", "must hold finite numbers");
        }

        var map = AffineMap.Create(info, tensors[0], tensors[1]);
        if (info.Digest.Length > 0 && map.Info.Digest != info.Digest)
        {
            throw new LrtMeshException(ErrorReason.DataLoss, [new Violation("content.map.digest", $"says {info.Digest}, and the ends and elements make {map.Info.Digest}: the map was damaged or changed")]);
        }

        return k > 0 ? map.With(SourceRegion.Of(tensors[2..])) : map;
    }
}

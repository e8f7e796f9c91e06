using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Store;
using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;
using AffineMap = LrtMesh.Core.Maps.AffineMap;
using Part = LrtMesh.V1.StreamMapRequest.PartOneofCase;

namespace LrtMesh.Mapping;

/// <summary>What maps do to rows, one message at a time or a stream of them, and how far rows lie from what a map was fitted on.</summary>
internal static class MapApplication
{
    /// <summary>Finds a map, of a given version and digest where they are given.</summary>
    /// <exception cref="LrtMeshException">NotFound; FailedPrecondition: it has another digest.</exception>
    public static async Task<AffineMap> FindAsync(MapStore maps, string name, ulong version, string digest, string field, CancellationToken cancellation)
    {
        var map = await maps.GetAsync(name, version, cancellation).NamedBy(field);
        return digest.Length == 0 || map.Info.Digest == digest
            ? map
            : throw LrtMeshException.Mismatch($"{field}_digest", $"version {map.Info.Version} of '{name}' has digest {map.Info.Digest}, not {digest}");
    }

    /// <summary>Maps the rows of one message.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument: rows that do not fit the map, or too many.</exception>
    public static (Tensor Rows, InputDistance? Distance) Apply(AffineMap map, Tensor? tensor, bool withoutBias, string field)
    {
        var (from, to) = ((int)map.Info.SourceWidth, (int)map.Info.TargetWidth);
        var rows = TensorCodec.DecodeRows(tensor, from, field, TensorCodec.MaximumInlineBytes / sizeof(float));
        if (tensor!.Header.Dtype != Dtype.Float32)
        {
            throw LrtMeshException.Invalid($"{field}.header.dtype", $"must be DTYPE_FLOAT32, not {tensor.Header.Dtype}");
        }

        var count = rows.Length / from;
        var most = TensorCodec.MaximumInlineBytes / sizeof(float) / to;
        if (count > most)
        {
            throw LrtMeshException.Invalid($"{field}.header.shape", $"must be at most {most} rows, since an answer of width {to} holds no more, not {count}");
        }

        return (TensorCodec.Encode(map.Apply(rows, addBias: !withoutBias), count, to), Measure(map, rows, isState: !withoutBias));
    }

    /// <summary>How far rows lie from what a map was fitted on; null where the map does not know.</summary>
    /// <param name="map">The map.</param>
    /// <param name="rows">[rows, source width].</param>
    /// <param name="isState">True for states, measured from their mean; false for directions.</param>
    public static InputDistance? Measure(AffineMap map, float[] rows, bool isState)
    {
        if (map.Region is not { } region)
        {
            return null;
        }

        var width = (int)map.Info.SourceWidth;
        var measured = new InputDistance { UsualDistance = region.Usual };
        for (var start = 0; start < rows.Length; start += width)
        {
            var distance = (float)region.Distance(rows.AsSpan(start, width), isState);
            measured.Distances.Add(distance);
            measured.UnusualRows += distance > region.Usual ? 1u : 0;
        }

        if (measured.UnusualRows > 0)
        {
            measured.Warning = $"{measured.UnusualRows} of {measured.Distances.Count} rows lie farther ({measured.Distances.Max():0.#} standard deviations at most) from what "
                + $"'{map.Info.Name}' was fitted on than 99% of held-out states ({region.Usual:0.#}): there the map is extrapolation";
        }

        return measured;
    }

    /// <summary>Answers a stream: 1. take the spec; 2. map each message's rows before the next is read.</summary>
    public static async Task RunAsync(
        MapStore maps, IAsyncStreamReader<StreamMapRequest> requests, IServerStreamWriter<StreamMapResponse> responses, CancellationToken cancellation)
    {
        // 1.
        if (!await requests.MoveNext(cancellation) || requests.Current.PartCase != Part.Spec)
        {
            throw LrtMeshException.Invalid("spec", "must be the first message of the stream");
        }

        var spec = requests.Current.Spec;
        var map = await FindAsync(maps, spec.Map, spec.MapVersion, spec.MapDigest, "spec.map", cancellation);

        // 2.
        while (await requests.MoveNext(cancellation))
        {
            if (requests.Current.PartCase != Part.Rows)
            {
                throw LrtMeshException.Invalid("rows", "must be every message after the first");
            }

            var (rows, distance) = Apply(map, requests.Current.Rows, spec.WithoutBias, "rows");
            await responses.WriteAsync(new StreamMapResponse { Rows = rows, MapDigest = map.Info.Digest, MapVersion = map.Info.Version, Distance = distance }, cancellation);
        }
    }
}

using System.Buffers.Binary;
using System.Text.Json;
using Google.Protobuf;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>
/// A map as a safetensors file: float32 tensors A [target, source], b [target] and, where the map knows what it was fitted on, the
/// source's mean, scale, directions, variances and rest; the whole description as JSON under "lrtmesh.map" in the metadata.
/// </summary>
internal static class MapFile
{
    private const string Format = "lrtmesh.map.1";
    private const int ChunkBytes = 512 << 10;
    private const int LongestHeader = 100 << 20; // the format's own limit
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

        await using var writer = new SafetensorsWriter(path);
        var tensors = content.Tensors.Select((header, i) => writer.Add(Names[i], "F32", sizeof(float), header.Shape.Count == 2 ? (long)header.Shape[1] : null)).ToArray();
        while (await parts.MoveNext(cancellation))
        {
            if (parts.Current.Chunk is not { } chunk || chunk.Tensor >= tensors.Length || TensorBytes.Crc32C(chunk.Data.Span) != chunk.Crc32C)
            {
                throw new CommandException("A part of the map was damaged on the way.");
            }

            tensors[chunk.Tensor].Append(chunk.Data.Span);
        }

        if (content.Tensors.Zip(tensors).Any(t => t.First.ByteLength != (ulong)t.Second.Spool.Length))
        {
            throw new CommandException("The map did not arrive whole.");
        }

        await writer.FinishAsync(
            new Dictionary<string, string> { ["format"] = Format, ["digest"] = content.Map.Digest, ["lrtmesh.map"] = JsonFormatter.Default.Format(content.Map) }, cancellation);
        return content.Map;
    }

    /// <summary>Reads a file as the messages that import it; pieces are read as they are sent.</summary>
    /// <param name="path">The file.</param>
    /// <param name="name">Another name for the map; null: its own.</param>
    /// <exception cref="CommandException">Not such a file.</exception>
    public static IEnumerable<ImportMapRequest> Read(string path, string? name)
    {
        using var file = File.OpenRead(path);
        var (map, tensors, start) = Header(file, path);
        map.Name = name ?? map.Name;
        var content = new MapContent { Map = map };
        content.Tensors.AddRange(tensors.Select(tensor => new TensorHeader { Dtype = Dtype.Float32, Shape = { tensor.Shape }, ByteLength = (ulong)(tensor.End - tensor.Begin) }));
        yield return new ImportMapRequest { Content = content };
        for (int i = 0; i < tensors.Length; i++)
        {
            file.Position = start + tensors[i].Begin;
            for (long at = tensors[i].Begin; at < tensors[i].End; at += ChunkBytes)
            {
                byte[] bytes = new byte[Math.Min(ChunkBytes, tensors[i].End - at)];
                file.ReadExactly(bytes);
                yield return new ImportMapRequest
                {
                    Chunk = new TensorChunk { Tensor = (uint)i, Offset = (ulong)(at - tensors[i].Begin), Data = UnsafeByteOperations.UnsafeWrap(bytes), Crc32C = TensorBytes.Crc32C(bytes) },
                };
            }
        }
    }

    private static (AffineMap Map, StoredTensor[] Tensors, long Start) Header(FileStream file, string path)
    {
        try
        {
            Span<byte> prefix = stackalloc byte[sizeof(ulong)];
            file.ReadExactly(prefix);
            long length = BinaryPrimitives.ReadInt64LittleEndian(prefix);
            if (length is < 2 or > LongestHeader || length > file.Length - file.Position)
            {
                throw new InvalidDataException("its header does not fit");
            }

            byte[] json = new byte[length];
            file.ReadExactly(json);
            using var header = JsonDocument.Parse(json);
            var metadata = header.RootElement.GetProperty("__metadata__");
            if (metadata.GetProperty("format").GetString() != Format)
            {
                throw new InvalidDataException($"its format is not {Format}");
            }

            var map = JsonParser.Default.Parse<AffineMap>(metadata.GetProperty("lrtmesh.map").GetString());
            var tensors = Names.Where(name => header.RootElement.TryGetProperty(name, out _)).Select(name => StoredTensor.Of(header.RootElement.GetProperty(name))).ToArray();
            long start = file.Position;
            return tensors.All(tensor => tensor.Begin >= 0 && tensor.Begin <= tensor.End && start + tensor.End <= file.Length)
                ? (map, tensors, start)
                : throw new InvalidDataException("its tensors do not lie within it");
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or JsonException or KeyNotFoundException or InvalidOperationException or InvalidProtocolBufferException)
        {
            throw new CommandException($"{path}: not a map that lrtmesh export wrote: {e.Message}", inner: e);
        }
    }

    private sealed record StoredTensor(ulong[] Shape, long Begin, long End)
    {
        public static StoredTensor Of(JsonElement element) => element.GetProperty("dtype").GetString() == "F32"
            ? new(
                [.. element.GetProperty("shape").EnumerateArray().Select(size => size.GetUInt64())],
                element.GetProperty("data_offsets")[0].GetInt64(),
                element.GetProperty("data_offsets")[1].GetInt64())
            : throw new InvalidDataException("a tensor is not of float32");
    }
}

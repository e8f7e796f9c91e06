using System.Buffers.Binary;
using System.Text.Json;
using Google.Protobuf;
using LrtMesh.Client;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>
/// A record that travels as a description and the chunks of its float32 tensors, as a safetensors file: the description as JSON in the metadata,
/// beside the format's name. Pieces are written as they come and read as they are sent.
/// </summary>
internal sealed class TensorFile : IDisposable
{
    private const int ChunkBytes = 512 << 10;
    private const int LongestHeader = 100 << 20; // the format's own limit

    private readonly FileStream _file;
    private readonly Part[] _parts;
    private readonly long _start; // of the tensors

    private readonly string _what;
    private readonly string _description;

    private TensorFile(FileStream file, string what, string description, Part[] parts)
    {
        (_file, _what, _description, _parts) = (file, what, description, parts);
        _start = file.Position;
    }

    /// <summary>What the tensors are, in the order of their names as they were asked for.</summary>
    public IEnumerable<TensorHeader> Headers => _parts.Select(part => new TensorHeader { Dtype = Dtype.Float32, Shape = { part.Shape }, ByteLength = (ulong)(part.End - part.Begin) });

    /// <summary>Writes a record that the mesh sends.</summary>
    /// <param name="path">The file; it is there once it is whole.</param>
    /// <param name="headers">The tensors announced.</param>
    /// <param name="names">Their names in the file.</param>
    /// <param name="chunks">The rest of the stream; null for a part that is no chunk.</param>
    /// <param name="metadata">Texts of the header.</param>
    /// <exception cref="CommandException">The server broke the contract.</exception>
    public static async Task SaveAsync(
        string path, IReadOnlyList<TensorHeader> headers, IReadOnlyList<string> names, IAsyncEnumerable<TensorChunk?> chunks, IReadOnlyDictionary<string, string> metadata, CancellationToken cancellation)
    {
        await using var writer = new SafetensorsWriter(path);
        var tensors = headers.Select((header, i) => writer.Add(names[i], "F32", sizeof(float), header.Shape.Count == 2 ? (long)header.Shape[1] : null)).ToArray();
        await foreach (var chunk in chunks.WithCancellation(cancellation))
        {
            if (chunk is null || chunk.Tensor >= tensors.Length || Crc32C.Compute(chunk.Data.Span) != chunk.Crc32C)
            {
                throw new CommandException("A part was damaged on the way.");
            }

            tensors[chunk.Tensor].Append(chunk.Data.Span);
        }

        if (headers.Zip(tensors).Any(t => t.First.ByteLength != (ulong)t.Second.Spool.Length))
        {
            throw new CommandException("It did not arrive whole.");
        }

        await writer.FinishAsync(metadata, cancellation);
    }

    /// <summary>Opens a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="what">What it should hold, for errors.</param>
    /// <param name="format">Its format's name.</param>
    /// <param name="key">Of the description in the metadata.</param>
    /// <param name="names">The tensors wanted, in order; those that are not there are left out.</param>
    /// <exception cref="CommandException">Not such a file.</exception>
    public static TensorFile Open(string path, string what, string format, string key, IEnumerable<string> names)
    {
        var file = File.OpenRead(path);
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
            if (metadata.GetProperty("format").GetString() != format)
            {
                throw new InvalidDataException($"its format is not {format}");
            }

            string description = metadata.GetProperty(key).GetString() ?? throw new InvalidDataException("it has no description");
            Part[] parts = [.. names.Where(name => header.RootElement.TryGetProperty(name, out _)).Select(name => Part.Of(header.RootElement.GetProperty(name)))];
            return parts.All(part => part.Begin >= 0 && part.Begin <= part.End && file.Position + part.End <= file.Length)
                ? new TensorFile(file, what, description, parts)
                : throw new InvalidDataException("its tensors do not lie within it");
        }
        catch (Exception e)
        {
            file.Dispose();
            throw e is InvalidDataException or EndOfStreamException or JsonException or KeyNotFoundException or InvalidOperationException or FormatException
                ? Wrong(path, what, e)
                : e;
        }
    }

    /// <summary>The description.</summary>
    /// <exception cref="CommandException">It is none of such a record.</exception>
    public T Description<T>()
        where T : IMessage<T>, new()
    {
        try
        {
            return JsonParser.Default.Parse<T>(_description);
        }
        catch (InvalidProtocolBufferException e)
        {
            throw Wrong(_file.Name, _what, e);
        }
    }

    /// <summary>The chunks of all tensors.</summary>
    public IEnumerable<TensorChunk> Chunks()
    {
        for (int i = 0; i < _parts.Length; i++)
        {
            _file.Position = _start + _parts[i].Begin;
            for (long at = _parts[i].Begin; at < _parts[i].End; at += ChunkBytes)
            {
                byte[] bytes = new byte[Math.Min(ChunkBytes, _parts[i].End - at)];
                _file.ReadExactly(bytes);
                yield return new TensorChunk { Tensor = (uint)i, Offset = (ulong)(at - _parts[i].Begin), Data = UnsafeByteOperations.UnsafeWrap(bytes), Crc32C = Crc32C.Compute(bytes) };
            }
        }
    }

    public void Dispose() => _file.Dispose();

    private static CommandException Wrong(string path, string what, Exception why) => new($"{path}: not a {what} that lrtmesh export wrote: {why.Message}", inner: why);

    private sealed record Part(ulong[] Shape, long Begin, long End)
    {
        public static Part Of(JsonElement element) => element.GetProperty("dtype").GetString() == "F32"
            ? new(
                [.. element.GetProperty("shape").EnumerateArray().Select(size => size.GetUInt64())],
                element.GetProperty("data_offsets")[0].GetInt64(),
                element.GetProperty("data_offsets")[1].GetInt64())
            : throw new InvalidDataException("a tensor is not of float32");
    }
}

using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Text.Json;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// A safetensors file, memory-mapped: an 8-byte little-endian header length, a JSON header with dtype, shape and byte range of
/// each tensor, and the tensors' bytes. The header is checked whole before any tensor is read.
/// </summary>
public sealed class SafetensorsFile : IDisposable
{
    private const int MaxHeaderBytes = 100 << 20; // the format's own limit

    private static readonly Dictionary<string, ScalarType> _types = new()
    {
        ["F64"] = ScalarType.Float64,
        ["F32"] = ScalarType.Float32,
        ["F16"] = ScalarType.Float16,
        ["BF16"] = ScalarType.BFloat16,
        ["I64"] = ScalarType.Int64,
        ["I32"] = ScalarType.Int32,
        ["BOOL"] = ScalarType.Bool,
    };

    private readonly string _path;
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly long _dataStart;
    private readonly Dictionary<string, Entry> _entries = [];

    private SafetensorsFile(string path, MemoryMappedFile file, long length)
    {
        _path = path;
        _file = file;
        _view = file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        var headerLength = length < 8 ? throw Damaged("is shorter than a header") : _view.ReadInt64(0);
        if (headerLength < 2 || headerLength > Math.Min(MaxHeaderBytes, length - 8))
        {
            throw Damaged($"the header's length {headerLength} does not fit the file of {length} bytes");
        }

        _dataStart = 8 + headerLength;
        var header = new byte[headerLength];
        _view.ReadArray(8, header, 0, header.Length);
        ReadHeader(header, length - _dataStart);
    }

    /// <summary>Names of the tensors.</summary>
    public IReadOnlyCollection<string> Names => _entries.Keys;

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="LrtMeshException">Unreadable or damaged; names file and tensor.</exception>
    public static SafetensorsFile Open(string path)
    {
        try
        {
            var length = new FileInfo(path).Length;
            if (length == 0)
            {
                throw new LrtMeshException(ErrorReason.DataLoss, $"{path}: is empty");
            }

            var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
            try
            {
                return new SafetensorsFile(path, file, length);
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Copies a tensor out of the file.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="shape">The shape that it must have.</param>
    /// <param name="dtype">The type to convert to.</param>
    public unsafe Tensor Read(string name, long[] shape, ScalarType dtype)
    {
        if (!_entries.TryGetValue(name, out var entry))
        {
            throw Damaged($"has no tensor '{name}'");
        }

        if (!entry.Shape.SequenceEqual(shape))
        {
            throw Damaged($"tensor '{name}' has shape [{string.Join(", ", entry.Shape)}], and the configuration asks for [{string.Join(", ", shape)}]");
        }

        var stored = empty(shape, entry.Type);
        byte* start = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        try
        {
            new ReadOnlySpan<byte>(start + _view.PointerOffset + _dataStart + entry.Begin, checked((int)(entry.End - entry.Begin)))
                .CopyTo(stored.bytes);
        }
        finally
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
        }

        if (entry.Type == dtype)
        {
            return stored;
        }

        using (stored)
        {
            return stored.to(dtype);
        }
    }

    /// <summary>Writes tensors, in the order given, to a temporary file beside the target and then renames it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensors">Names and contiguous CPU tensors.</param>
    /// <param name="metadata">Texts for the header's <c>__metadata__</c>.</param>
    public static void Write(string path, IReadOnlyList<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        using var header = new MemoryStream();
        using (var json = new Utf8JsonWriter(header))
        {
            json.WriteStartObject();
            if (metadata is not null)
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in metadata)
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            var offset = 0L;
            foreach (var (name, tensor) in tensors)
            {
                var end = offset + (tensor.numel() * tensor.element_size());
                json.WriteStartObject(name);
                json.WriteString("dtype", _types.First(t => t.Value == tensor.dtype).Key);
                json.WriteStartArray("shape");
                foreach (var dimension in tensor.shape)
                {
                    json.WriteNumberValue(dimension);
                }

                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(end);
                json.WriteEndArray();
                json.WriteEndObject();
                offset = end;
            }

            json.WriteEndObject();
        }

        // Spaces round the header up, so that the tensors start at a multiple of 8.
        var padding = (8 - (int)(header.Length % 8)) % 8;
        var temporary = path + ".tmp";
        using (var file = File.Create(temporary))
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(length, header.Length + padding);
            file.Write(length);
            header.WriteTo(file);
            file.Write("       "u8[..padding]);
            foreach (var (_, tensor) in tensors)
            {
                file.Write(tensor.bytes);
            }

            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, path, overwrite: true);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _view.Dispose();
        _file.Dispose();
    }

    private void ReadHeader(byte[] header, long dataLength)
    {
        try
        {
            using var document = JsonDocument.Parse(header, new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw Damaged("the header is not a JSON object");
            }

            foreach (var property in document.RootElement.EnumerateObject().Where(p => p.Name != "__metadata__"))
            {
                _entries.Add(property.Name, ReadEntry(property.Name, property.Value));
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // A text that is not UTF-8 is an InvalidOperationException, and only once it is read.
            throw Damaged($"the header is not JSON with distinct keys: {e.Message}");
        }

        // The ranges must tile the data: no gap, no overlap, no byte outside.
        var expected = 0L;
        foreach (var (name, entry) in _entries.OrderBy(e => e.Value.Begin).ThenBy(e => e.Value.End))
        {
            if (entry.Begin != expected)
            {
                throw Damaged($"tensor '{name}' starts at byte {entry.Begin} of the data, and {expected} is where the one before ends");
            }

            expected = entry.End;
        }

        if (expected != dataLength)
        {
            throw Damaged($"the tensors take {expected} bytes, and the file holds {dataLength}");
        }
    }

    private Entry ReadEntry(string name, JsonElement value)
    {
        try
        {
            var type = value.GetProperty("dtype").GetString() ?? "null";
            if (!_types.TryGetValue(type, out var dtype))
            {
                throw Damaged($"tensor '{name}' has dtype {type}; supported: {string.Join(", ", _types.Keys)}");
            }

            var shape = value.GetProperty("shape").EnumerateArray().Select(e => e.GetInt64()).ToArray();
            var offsets = value.GetProperty("data_offsets").EnumerateArray().Select(e => e.GetInt64()).ToArray();
            if (offsets is not [>= 0, >= 0] || offsets[1] < offsets[0] || shape.Any(d => d < 0))
            {
                throw Damaged($"tensor '{name}' has a negative or missing size");
            }

            var elementSize = SizeOf(dtype);
            var bytes = shape.Aggregate((long)elementSize, (product, d) => checked(product * d));
            if (bytes != offsets[1] - offsets[0])
            {
                throw Damaged($"tensor '{name}' takes {bytes} bytes by its shape and {offsets[1] - offsets[0]} by its offsets");
            }

            return new Entry(dtype, shape, offsets[0], offsets[1]);
        }
        catch (Exception e) when (e is InvalidOperationException or KeyNotFoundException or FormatException or OverflowException)
        {
            throw Damaged($"tensor '{name}' is not described by dtype, shape and data_offsets ({e.Message})");
        }
    }

    private static int SizeOf(ScalarType type) => type switch
    {
        ScalarType.Float64 or ScalarType.Int64 => 8,
        ScalarType.Float32 or ScalarType.Int32 => 4,
        ScalarType.Bool => 1,
        _ => 2,
    };

    private LrtMeshException Damaged(string what) => new(ErrorReason.DataLoss, $"{_path}: {what}");

    private sealed record Entry(ScalarType Type, long[] Shape, long Begin, long End);
}

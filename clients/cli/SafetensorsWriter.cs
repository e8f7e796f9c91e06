using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace LrtMesh.Cli;

/// <summary>
/// Writes a safetensors file of tensors that grow row by row and whose length is known only at the end. Each tensor is
/// spooled to a file beside the target; <see cref="FinishAsync"/> joins them and puts the result in place in one step,
/// so that a reader meets a whole file or none. Format: 8 bytes header length, JSON header, then the tensors' bytes
/// (huggingface/safetensors, README).
/// </summary>
internal sealed class SafetensorsWriter : IAsyncDisposable
{
    private const int Alignment = 8;
    private readonly string _path;
    private readonly List<GrowingTensor> _tensors = [];

    /// <summary>Prepares to write <paramref name="path"/>; nothing is there until the end.</summary>
    public SafetensorsWriter(string path) => _path = path;

    /// <summary>Adds a tensor whose first dimension grows.</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="dtype">Safetensors' name of the element type: F32, F16, BF16, F64, I64.</param>
    /// <param name="elementSize">Bytes of one element.</param>
    /// <param name="rowWidth">Elements of one row; null for a tensor of one dimension.</param>
    public GrowingTensor Add(string name, string dtype, int elementSize, long? rowWidth)
    {
        var tensor = new GrowingTensor(name, dtype, elementSize * (rowWidth ?? 1), rowWidth, $"{_path}.partial.{_tensors.Count}");
        _tensors.Add(tensor);
        return tensor;
    }

    /// <summary>Writes the file.</summary>
    /// <param name="metadata">Texts for the header's <c>__metadata__</c>.</param>
    public async Task FinishAsync(IReadOnlyDictionary<string, string> metadata, CancellationToken cancellation)
    {
        string partial = _path + ".partial";
        try
        {
            await using (var file = File.Create(partial))
            {
                await file.WriteAsync(Header(metadata), cancellation);
                foreach (var tensor in _tensors)
                {
                    tensor.Spool.Position = 0;
                    await tensor.Spool.CopyToAsync(file, cancellation);
                }
            }

            File.Move(partial, _path, overwrite: true);
        }
        finally
        {
            File.Delete(partial);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var tensor in _tensors)
        {
            await tensor.Spool.DisposeAsync();
        }
    }

    private byte[] Header(IReadOnlyDictionary<string, string> metadata)
    {
        var header = new JsonObject { ["__metadata__"] = JsonSerializer.SerializeToNode(metadata) };
        long offset = 0;
        foreach (var tensor in _tensors)
        {
            long end = offset + tensor.Spool.Length;
            header[tensor.Name] = new JsonObject
            {
                ["dtype"] = tensor.Dtype,
                ["shape"] = tensor.RowWidth is { } width ? new JsonArray(tensor.Rows, width) : new JsonArray(tensor.Rows),
                ["data_offsets"] = new JsonArray(offset, end),
            };
            offset = end;
        }

        byte[] json = JsonSerializer.SerializeToUtf8Bytes(header);
        // Padded with spaces, so that the tensors start at a multiple of 8.
        int length = (json.Length + Alignment - 1) / Alignment * Alignment;
        byte[] bytes = new byte[sizeof(ulong) + length];
        bytes.AsSpan().Fill((byte)' ');
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)length);
        json.CopyTo(bytes, sizeof(ulong));
        return bytes;
    }
}

/// <summary>A tensor on its way to a file.</summary>
internal sealed class GrowingTensor(string name, string dtype, long rowBytes, long? rowWidth, string spoolPath)
{
    public string Name { get; } = name;

    public string Dtype { get; } = dtype;

    public long? RowWidth { get; } = rowWidth;

    // Removed with the handle, whatever happens to the command.
    public FileStream Spool { get; } = new(spoolPath, FileMode.Create, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);

    public long Rows => Spool.Length / rowBytes;

    /// <summary>Appends bytes: little-endian, row-major.</summary>
    public void Append(ReadOnlySpan<byte> bytes) => Spool.Write(bytes);

    /// <summary>Appends integers as int64.</summary>
    public void Append(IEnumerable<uint> integers)
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        foreach (uint integer in integers)
        {
            BinaryPrimitives.WriteInt64LittleEndian(bytes, integer);
            Spool.Write(bytes);
        }
    }
}

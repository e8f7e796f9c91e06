using System.Buffers;
using LrtMesh.V1;

namespace LrtMesh.Client;

/// <summary>Puts tensors together from their chunks, which come in order and without gaps within each tensor.</summary>
public sealed class TensorAssembler : IDisposable
{
    private readonly TensorHeader[] _headers;
    private readonly byte[][] _buffers; // from the pool, and maybe longer than the tensors
    private readonly int[] _filled;
    private int _disposed;

    /// <summary>Checks the headers before it takes memory.</summary>
    /// <exception cref="BrokenTensorException">A header contradicts itself, or announces 2 GiB or more.</exception>
    public TensorAssembler(IEnumerable<TensorHeader> headers)
    {
        _headers = [.. headers];
        foreach (var header in _headers)
        {
            TensorBytes.Check(header);
            if (header.ByteLength > (ulong)Array.MaxLength)
            {
                throw new BrokenTensorException($"{header.ByteLength} bytes are too many for one tensor");
            }
        }

        _buffers = [.. _headers.Select(header => ArrayPool<byte>.Shared.Rent((int)header.ByteLength))];
        _filled = new int[_headers.Length];
    }

    /// <summary>Whether every byte is there.</summary>
    public bool IsComplete => _headers.Zip(_filled).All(tensor => tensor.First.ByteLength == (ulong)tensor.Second);

    /// <summary>Takes a chunk.</summary>
    /// <exception cref="BrokenTensorException">It is out of place, too long or damaged.</exception>
    public void Add(TensorChunk chunk)
    {
        ArgumentNullException.ThrowIfNull(chunk);
        var data = chunk.Data.Span;
        if (chunk.Tensor >= _buffers.Length || chunk.Offset != (ulong)_filled[chunk.Tensor] || (ulong)data.Length > _headers[chunk.Tensor].ByteLength - chunk.Offset)
        {
            throw new BrokenTensorException($"a chunk out of place: tensor {chunk.Tensor}, offset {chunk.Offset}");
        }

        if (data.Length > TensorBytes.MaxChunk)
        {
            throw new BrokenTensorException($"a chunk of {data.Length} bytes; {TensorBytes.MaxChunk} is the most");
        }

        if (Crc32C.Compute(data) != chunk.Crc32C)
        {
            throw new BrokenTensorException($"wrong crc32c: tensor {chunk.Tensor}, offset {chunk.Offset}");
        }

        data.CopyTo(_buffers[chunk.Tensor].AsSpan(_filled[chunk.Tensor]));
        _filled[chunk.Tensor] += data.Length;
    }

    /// <summary>The bytes of each tensor, row-major, little-endian.</summary>
    public IReadOnlyList<ReadOnlyMemory<byte>> Bytes => [.. _buffers.Zip(_headers, (buffer, header) => buffer.AsMemory(0, (int)header.ByteLength))];

    /// <summary>Gives the memory of <see cref="Bytes"/> back to be used again: nobody may read them any more. Without it the collector takes it.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            Array.ForEach(_buffers, buffer => ArrayPool<byte>.Shared.Return(buffer));
        }
    }
}

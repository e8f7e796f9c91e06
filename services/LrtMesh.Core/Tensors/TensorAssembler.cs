using System.Runtime.InteropServices;
using LrtMesh.Core.Telemetry;

namespace LrtMesh.Core.Tensors;

/// <summary>
/// Puts announced tensors together from their chunks. Headers are checked, all of them against one limit, before anything is
/// allocated; a tensor's memory grows with what has come of it, so that who announces much and sends little takes little. One assembler serves one announcement and one thread.
/// </summary>
public sealed class TensorAssembler
{
    private readonly Part[] _parts;
    private int _missing;

    /// <summary>Accepts an announcement.</summary>
    /// <param name="headers">What will come, in order.</param>
    /// <param name="field">Proto path of the list of headers, for errors.</param>
    /// <param name="maximumElements">Most elements of all tensors together.</param>
    /// <exception cref="LrtMeshException">InvalidArgument, naming the header and the field in it.</exception>
    public TensorAssembler(IReadOnlyList<V1.TensorHeader> headers, string field, long maximumElements)
    {
        _parts = new Part[headers.Count];
        var left = maximumElements;
        for (var i = 0; i < _parts.Length; i++)
        {
            var elements = TensorCodec.CheckHeader(headers[i], $"{field}[{i}]", left);
            left -= elements;
            _parts[i] = new Part(headers[i].Dtype, elements, (long)headers[i].ByteLength);
            Memory += ((long)elements * sizeof(float)) + _parts[i].RawLength;
            _missing += elements > 0 ? 1 : 0;
        }
    }

    /// <summary>Bytes of memory that all tensors take once they have come, at most.</summary>
    public long Memory { get; }

    /// <summary>Whether every announced byte has come.</summary>
    public bool IsComplete => _missing == 0;

    /// <summary>Takes one chunk. A refused chunk changes nothing.</summary>
    /// <param name="chunk">The chunk; chunks of one tensor in order and without gaps.</param>
    /// <param name="field">Proto path of the chunk, for errors.</param>
    /// <returns>True if it was the last one of its tensor.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument, naming the field below <paramref name="field"/> that is wrong.</exception>
    public bool Add(V1.TensorChunk chunk, string field)
    {
        if (chunk.Tensor >= (uint)_parts.Length)
        {
            throw LrtMeshException.Invalid($"{field}.tensor", $"must be below {_parts.Length}, the number of tensors announced, not {chunk.Tensor}");
        }

        var part = _parts[chunk.Tensor];
        if (chunk.Offset != (ulong)part.Received)
        {
            throw LrtMeshException.Invalid(
                $"{field}.offset", $"must be {part.Received}, where the chunk before of tensor {chunk.Tensor} ended, not {chunk.Offset}");
        }

        if (chunk.Data.IsEmpty || chunk.Data.Length > TensorChunks.MaximumBytes)
        {
            throw LrtMeshException.Invalid($"{field}.data", $"must hold 1 to {TensorChunks.MaximumBytes} bytes, not {chunk.Data.Length}");
        }

        if (chunk.Data.Length > part.ByteLength - part.Received)
        {
            throw LrtMeshException.Invalid(
                $"{field}.data", $"must hold at most the {part.ByteLength - part.Received} bytes missing of tensor {chunk.Tensor}, not {chunk.Data.Length}");
        }

        TensorCodec.CheckCrc(chunk.Data.Span, chunk.Crc32C, $"{field}.crc32c");
        TensorMetrics.Received(chunk.Data.Length);
        if (!part.Take(chunk.Data.Span))
        {
            return false;
        }

        _missing--;
        return true;
    }

    /// <summary>The elements of one tensor, row-major; an empty array for one without elements.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument: chunks of it are missing.</exception>
    public float[] Tensor(int index, string field)
    {
        var part = _parts[index];
        if (part.Received < part.ByteLength)
        {
            throw LrtMeshException.Invalid(field, $"tensor {index} ended after {part.Received} of {part.ByteLength} bytes");
        }

        return part.Values;
    }

    private sealed class Part(V1.Dtype dtype, int elements, long byteLength)
    {
        private readonly bool _direct = dtype == V1.Dtype.Float32 && BitConverter.IsLittleEndian;

        // Elements narrower or wider than float32 are kept as bytes until they are complete: a chunk may end within one.
        private byte[] _raw = [];

        public long ByteLength { get; } = byteLength;

        public long RawLength => _direct ? 0 : ByteLength;

        public long Received { get; private set; }

        public float[] Values { get; private set; } = [];

        public bool Take(ReadOnlySpan<byte> data)
        {
            var end = Received + data.Length;
            if (_direct)
            {
                Values = Grown(Values, (end + sizeof(float) - 1) / sizeof(float), elements);
                data.CopyTo(MemoryMarshal.AsBytes(Values.AsSpan())[(int)Received..]);
            }
            else
            {
                _raw = Grown(_raw, end, ByteLength);
                data.CopyTo(_raw.AsSpan((int)Received));
            }

            Received = end;
            if (Received < ByteLength)
            {
                return false;
            }

            if (!_direct)
            {
                Values = new float[elements];
                ElementConversion.ToFloats(_raw, dtype, Values);
                _raw = [];
            }

            return true;
        }

        private static T[] Grown<T>(T[] held, long needed, long whole)
        {
            if (needed <= held.Length)
            {
                return held;
            }

            // Twice as much each time: an element is copied once on average.
            var grown = GC.AllocateUninitializedArray<T>((int)Math.Min(whole, Math.Max(needed, 2L * held.Length)));
            held.CopyTo(grown, 0);
            return grown;
        }
    }
}

using Google.Protobuf;
using LrtMesh.Core.Telemetry;

namespace LrtMesh.Core.Tensors;

/// <summary>A tensor's bytes as the chunks in which they travel.</summary>
public static class TensorChunks
{
    /// <summary>Most bytes of data in one chunk: a gRPC message stays far below the 4 MiB that receivers accept by default.</summary>
    public const int MaximumBytes = 512 * 1024;

    /// <summary>
    /// Splits a tensor into chunks of at most <see cref="MaximumBytes"/>, in order. Nothing is copied: the bytes must stay as
    /// they are until the last chunk is serialized. A tensor without bytes has no chunks.
    /// </summary>
    /// <param name="index">Which of the announced tensors.</param>
    /// <param name="bytes">Its row-major bytes.</param>
    public static IEnumerable<V1.TensorChunk> Split(int index, ReadOnlyMemory<byte> bytes)
    {
        for (var offset = 0; offset < bytes.Length; offset += MaximumBytes)
        {
            yield return Of(index, bytes.Slice(offset, Math.Min(MaximumBytes, bytes.Length - offset)), offset);
        }
    }

    /// <summary>
    /// Splits a float32 tensor likewise, into bytes that are made a chunk at a time: whoever waits for a slow reader holds one chunk, and not a copy of the
    /// tensor. A chunk's bytes hold until the next is asked for.
    /// </summary>
    /// <param name="index">Which of the announced tensors.</param>
    /// <param name="values">Its row-major elements, which must stay as they are until the last chunk is taken.</param>
    public static IEnumerable<V1.TensorChunk> Split(int index, ReadOnlyMemory<float> values)
    {
        const int Elements = MaximumBytes / sizeof(float); // of a chunk
        var bytes = new byte[Math.Min(Elements, values.Length) * sizeof(float)];
        for (var first = 0; first < values.Length; first += Elements)
        {
            var part = values.Slice(first, Math.Min(Elements, values.Length - first));
            var data = bytes.AsMemory(0, part.Length * sizeof(float));
            ElementConversion.Write(part.Span, V1.Dtype.Float32, data.Span);
            yield return Of(index, data, first * sizeof(float));
        }
    }

    /// <summary>A chunk of a tensor over its own bytes, which must stay as they are until it is serialized.</summary>
    /// <param name="index">Which of the announced tensors.</param>
    /// <param name="data">At most <see cref="MaximumBytes"/>.</param>
    /// <param name="offset">Where they start within the tensor.</param>
    public static V1.TensorChunk Of(int index, ReadOnlyMemory<byte> data, int offset)
    {
        TensorMetrics.Sent(data.Length);
        return new()
        {
            Tensor = (uint)index,
            Offset = (ulong)offset,
            Data = UnsafeByteOperations.UnsafeWrap(data),
            Crc32C = V1.Crc32C.Compute(data.Span),
        };
    }
}

using Google.Protobuf;

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
            var data = bytes.Slice(offset, Math.Min(MaximumBytes, bytes.Length - offset));
            yield return new V1.TensorChunk
            {
                Tensor = (uint)index,
                Offset = (ulong)offset,
                Data = UnsafeByteOperations.UnsafeWrap(data),
                Crc32C = Crc32C.Compute(data.Span),
            };
        }
    }
}

using System.Buffers.Binary;
using System.Numerics;

namespace LrtMesh.Core.Tensors;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4), the check on every tensor's bytes.</summary>
public static class Crc32C
{
    /// <summary>The checksum of some bytes; 0xE3069283 for the ASCII digits "123456789".</summary>
    public static uint Compute(ReadOnlySpan<byte> bytes)
    {
        // BitOperations takes the processor's own instruction (SSE4.2, ARM CRC) where there is one and a table elsewhere.
        var crc = uint.MaxValue;
        while (bytes.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[sizeof(ulong)..];
        }

        foreach (var value in bytes)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return ~crc;
    }
}

using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;

namespace LrtMesh.V1;

/// <summary>CRC-32C (Castagnoli, RFC 3720 appendix B.4), the check on every tensor's bytes.</summary>
public static class Crc32C
{
    private const int LaneWords = 1024; // of 8 bytes

    // What a checksum becomes over the zeros of a lane, by its bytes: [4, 256], the lowest first. The checksum of a whole is the exclusive or of its bits'.
    private static readonly uint[] OverLane = MakeOverLane();

    /// <summary>The checksum of some bytes; 0xE3069283 for the ASCII digits "123456789".</summary>
    public static uint Compute(ReadOnlySpan<byte> bytes)
    {
        // BitOperations takes the processor's own instruction (SSE4.2, ARM CRC) where there is one and a table elsewhere. The instruction begins each cycle and ends after three:
        // three lanes side by side keep it busy.
        var crc = uint.MaxValue;
        var words = BitConverter.IsLittleEndian ? MemoryMarshal.Cast<byte, ulong>(bytes) : [];
        while (words.Length >= 3 * LaneWords)
        {
            var lanes = words[..(3 * LaneWords)];
            var (second, third) = (0u, 0u);
            for (var i = 0; i < LaneWords; i++)
            {
                crc = BitOperations.Crc32C(crc, lanes[i]);
                second = BitOperations.Crc32C(second, lanes[LaneWords + i]);
                third = BitOperations.Crc32C(third, lanes[(2 * LaneWords) + i]);
            }

            crc = Skip(Skip(crc) ^ second) ^ third;
            words = words[lanes.Length..];
            bytes = bytes[(lanes.Length * sizeof(ulong))..];
        }

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

    private static uint Skip(uint crc) => OverLane[(byte)crc] ^ OverLane[256 + (byte)(crc >> 8)] ^ OverLane[512 + (byte)(crc >> 16)] ^ OverLane[768 + (crc >> 24)];

    private static uint[] MakeOverLane()
    {
        var table = new uint[4 * 256];
        for (var bit = 0; bit < 32; bit++)
        {
            var crc = 1u << bit;
            for (var i = 0; i < LaneWords; i++)
            {
                crc = BitOperations.Crc32C(crc, 0UL);
            }

            var (part, value) = (bit / 8 * 256, 1 << (bit % 8));
            for (var lower = 0; lower < value; lower++)
            {
                table[part + value + lower] = table[part + lower] ^ crc;
            }
        }

        return table;
    }
}

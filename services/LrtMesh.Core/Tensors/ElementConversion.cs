using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace LrtMesh.Core.Tensors;

/// <summary>Elements of every dtype as little-endian bytes, from and to float32.</summary>
public static class ElementConversion
{
    /// <summary>Bytes of one element.</summary>
    /// <param name="dtype">The element type.</param>
    /// <param name="field">Proto path of the dtype, for the error.</param>
    /// <exception cref="LrtMeshException">The dtype is unspecified or unknown.</exception>
    public static int SizeOf(V1.Dtype dtype, string field) => dtype switch
    {
        V1.Dtype.Float32 => sizeof(float),
        V1.Dtype.Float16 or V1.Dtype.Bfloat16 => sizeof(ushort),
        V1.Dtype.Float64 => sizeof(double),
        _ => throw LrtMeshException.Invalid(
            field, $"must be DTYPE_FLOAT32, DTYPE_FLOAT16, DTYPE_BFLOAT16 or DTYPE_FLOAT64, not {(int)dtype}"),
    };

    /// <summary>
    /// Writes floats as elements of a dtype, rounding to nearest even. What is beyond a narrower type's range becomes infinite.
    /// </summary>
    /// <exception cref="LrtMeshException">The dtype is unspecified or unknown.</exception>
    public static byte[] FromFloats(ReadOnlySpan<float> values, V1.Dtype dtype)
    {
        var size = SizeOf(dtype, "dtype");
        var bytes = new byte[checked(values.Length * size)];
        if (dtype == V1.Dtype.Float32 && BitConverter.IsLittleEndian)
        {
            MemoryMarshal.AsBytes(values).CopyTo(bytes);
            return bytes;
        }

        for (var i = 0; i < values.Length; i++)
        {
            var element = bytes.AsSpan(i * size, size);
            switch (dtype)
            {
                case V1.Dtype.Float16:
                    BinaryPrimitives.WriteHalfLittleEndian(element, (Half)values[i]);
                    break;
                case V1.Dtype.Bfloat16:
                    BinaryPrimitives.WriteUInt16LittleEndian(element, ToBFloat16(values[i]));
                    break;
                case V1.Dtype.Float64:
                    BinaryPrimitives.WriteDoubleLittleEndian(element, values[i]);
                    break;
                default:
                    BinaryPrimitives.WriteSingleLittleEndian(element, values[i]);
                    break;
            }
        }

        return bytes;
    }

    /// <summary>Reads elements of a dtype as floats; a float64 beyond float32's range becomes infinite.</summary>
    /// <param name="bytes">As many elements as <paramref name="values"/> holds.</param>
    /// <param name="dtype">Their type.</param>
    /// <param name="values">Where they go.</param>
    internal static void ToFloats(ReadOnlySpan<byte> bytes, V1.Dtype dtype, Span<float> values)
    {
        if (dtype == V1.Dtype.Float32 && BitConverter.IsLittleEndian)
        {
            bytes.CopyTo(MemoryMarshal.AsBytes(values));
            return;
        }

        var size = SizeOf(dtype, "dtype");
        for (var i = 0; i < values.Length; i++)
        {
            var element = bytes.Slice(i * size, size);
            values[i] = dtype switch
            {
                V1.Dtype.Float16 => (float)BinaryPrimitives.ReadHalfLittleEndian(element),
                V1.Dtype.Bfloat16 => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(element) << 16),
                V1.Dtype.Float64 => (float)BinaryPrimitives.ReadDoubleLittleEndian(element),
                _ => BinaryPrimitives.ReadSingleLittleEndian(element),
            };
        }
    }

    private static ushort ToBFloat16(float value)
    {
        var bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
        {
            // Rounding could carry a NaN's payload away and leave an infinity: keep it a quiet NaN.
            return (ushort)((bits >> 16) | 0x40);
        }

        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}

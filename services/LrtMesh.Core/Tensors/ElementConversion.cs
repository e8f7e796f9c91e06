using System.Buffers.Binary;
using System.Numerics;
using System.Numerics.Tensors;
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
        var bytes = new byte[checked(values.Length * SizeOf(dtype, "dtype"))];
        Write(values, dtype, bytes);
        return bytes;
    }

    /// <summary>Like <see cref="FromFloats"/>, into memory that is there.</summary>
    /// <param name="values">What is written.</param>
    /// <param name="dtype">The type to write.</param>
    /// <param name="bytes">As many elements as <paramref name="values"/> holds.</param>
    public static void Write(ReadOnlySpan<float> values, V1.Dtype dtype, Span<byte> bytes)
    {
        var size = SizeOf(dtype, "dtype");
        if (bytes.Length != values.Length * size)
        {
            throw new ArgumentException($"{bytes.Length} bytes for {values.Length} elements of {size}", nameof(bytes));
        }

        if (BitConverter.IsLittleEndian && dtype != V1.Dtype.Float64)
        {
            switch (dtype)
            {
                case V1.Dtype.Float16:
                    TensorPrimitives.ConvertToHalf(values, MemoryMarshal.Cast<byte, Half>(bytes));
                    break;
                case V1.Dtype.Bfloat16:
                    ToBFloat16(values, MemoryMarshal.Cast<byte, ushort>(bytes));
                    break;
                default:
                    MemoryMarshal.AsBytes(values).CopyTo(bytes);
                    break;
            }

            return;
        }

        for (var i = 0; i < values.Length; i++)
        {
            var element = bytes.Slice(i * size, size);
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

        if (dtype == V1.Dtype.Bfloat16 && BitConverter.IsLittleEndian)
        {
            Widen(MemoryMarshal.Cast<byte, ushort>(bytes), MemoryMarshal.Cast<float, uint>(values));
            return;
        }

        var size = SizeOf(dtype, "dtype");
        for (var i = 0; i < values.Length; i++)
        {
            var element = bytes.Slice(i * size, size);
            values[i] = dtype switch
            {
                V1.Dtype.Float16 => (float)BinaryPrimitives.ReadHalfLittleEndian(element),
                V1.Dtype.Bfloat16 => FromBFloat16(BinaryPrimitives.ReadUInt16LittleEndian(element)),
                V1.Dtype.Float64 => (float)BinaryPrimitives.ReadDoubleLittleEndian(element),
                _ => BinaryPrimitives.ReadSingleLittleEndian(element),
            };
        }
    }

    private static void ToBFloat16(ReadOnlySpan<float> values, Span<ushort> rounded)
    {
        var i = 0;
        for (; i <= values.Length - Vector<ushort>.Count; i += Vector<ushort>.Count)
        {
            Vector.Narrow(Rounded(new Vector<float>(values[i..])), Rounded(new Vector<float>(values[(i + Vector<float>.Count)..]))).CopyTo(rounded[i..]);
        }

        for (; i < values.Length; i++)
        {
            rounded[i] = ToBFloat16(values[i]);
        }

        // The upper halves, as the function below has them.
        static Vector<uint> Rounded(Vector<float> several)
        {
            var bits = Vector.AsVectorUInt32(several);
            var upper = bits >>> 16;
            return Vector.ConditionalSelect(
                Vector.AsVectorUInt32(Vector.Equals(several, several)), (bits + new Vector<uint>(0x7FFF) + (upper & Vector<uint>.One)) >>> 16, upper | new Vector<uint>(0x40));
        }
    }

    /// <summary>bfloat16 to the bits of float32, which has zeros behind them.</summary>
    private static void Widen(ReadOnlySpan<ushort> from, Span<uint> to)
    {
        var i = 0;
        for (; i + Vector<ushort>.Count <= from.Length; i += Vector<ushort>.Count)
        {
            Vector.Widen(new Vector<ushort>(from[i..]), out var low, out var high);
            (low << 16).CopyTo(to[i..]);
            (high << 16).CopyTo(to[(i + Vector<uint>.Count)..]);
        }

        for (; i < from.Length; i++)
        {
            to[i] = (uint)from[i] << 16;
        }
    }

    /// <summary>A bfloat16 as a float.</summary>
    internal static float FromBFloat16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>The nearest bfloat16, halves to even.</summary>
    internal static ushort ToBFloat16(float value)
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

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Google.Protobuf;
using LrtMesh.V1;

namespace LrtMesh.Client;

/// <summary>What came is not the tensor that was announced: wrong size, order or CRC-32C.</summary>
public sealed class BrokenTensorException(string message) : Exception(message);

/// <summary>Whole tensors, to and from float32.</summary>
public static class TensorBytes
{
    /// <summary>Bytes that a whole tensor in one message holds at most.</summary>
    public const int MaxTensor = 2 << 20;

    /// <summary>Bytes that a chunk holds at most.</summary>
    public const int MaxChunk = 512 << 10;

    /// <summary>A whole float32 tensor of row-major elements.</summary>
    /// <exception cref="ArgumentException">The shape has other elements, or they are more than 2 MiB.</exception>
    public static Tensor Encode(ReadOnlySpan<float> elements, params ReadOnlySpan<ulong> shape)
    {
        UInt128 count = 1;
        foreach (ulong length in shape)
        {
            count = checked(count * length);
        }

        if (count != (UInt128)elements.Length)
        {
            throw new ArgumentException($"the shape does not have {elements.Length} elements", nameof(shape));
        }

        if ((long)elements.Length * sizeof(float) > MaxTensor)
        {
            throw new ArgumentException($"a tensor in one message holds at most {MaxTensor} bytes; this one has {(long)elements.Length * sizeof(float)}: send it in parts", nameof(elements));
        }

        var bytes = new byte[elements.Length * sizeof(float)];
        for (int i = 0; i < elements.Length; i++)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), elements[i]);
        }

        var header = new TensorHeader { Dtype = Dtype.Float32, ByteLength = (ulong)bytes.Length };
        header.Shape.AddRange(shape.ToArray());
        return new Tensor { Header = header, Data = UnsafeByteOperations.UnsafeWrap(bytes), Crc32C = Crc32C.Compute(bytes) };
    }

    /// <summary>The row-major elements of a whole tensor of any element type, as float32.</summary>
    /// <exception cref="BrokenTensorException">Sizes contradict each other, or bytes were damaged.</exception>
    public static float[] Decode(Tensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        Check(tensor.Header);
        if ((ulong)tensor.Data.Length != tensor.Header.ByteLength)
        {
            throw new BrokenTensorException($"{tensor.Data.Length} bytes where {tensor.Header.ByteLength} were announced");
        }

        return Crc32C.Compute(tensor.Data.Span) == tensor.Crc32C ? Floats(tensor.Header.Dtype, tensor.Data.Span) : throw new BrokenTensorException("wrong crc32c: the bytes were damaged");
    }

    /// <summary>Checks that a header does not contradict itself.</summary>
    /// <exception cref="BrokenTensorException">It does, or its element type is unknown.</exception>
    public static void Check(TensorHeader? header)
    {
        int size = ElementSize(header?.Dtype ?? Dtype.Unspecified);
        UInt128 bytes = (UInt128)size;
        foreach (ulong length in header!.Shape)
        {
            bytes = length != 0 && bytes > ulong.MaxValue ? UInt128.MaxValue : bytes * length;
        }

        if (header.Shape.Count > 8 || bytes != header.ByteLength)
        {
            throw new BrokenTensorException($"shape [{string.Join(", ", header.Shape)}] of {size}-byte elements is not {header.ByteLength} bytes");
        }
    }

    internal static float[] Floats(Dtype dtype, ReadOnlySpan<byte> data)
    {
        if (dtype == Dtype.Float32 && BitConverter.IsLittleEndian)
        {
            return MemoryMarshal.Cast<byte, float>(data).ToArray();
        }

        int size = ElementSize(dtype);
        var elements = new float[data.Length / size];
        for (int i = 0; i < elements.Length; i++)
        {
            var element = data[(i * size)..];
            elements[i] = dtype switch
            {
                Dtype.Float32 => BinaryPrimitives.ReadSingleLittleEndian(element),
                Dtype.Float16 => (float)BinaryPrimitives.ReadHalfLittleEndian(element),
                Dtype.Bfloat16 => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(element) << 16),
                _ => (float)BinaryPrimitives.ReadDoubleLittleEndian(element),
            };
        }

        return elements;
    }

    private static int ElementSize(Dtype dtype) => dtype switch
    {
        Dtype.Float16 or Dtype.Bfloat16 => 2,
        Dtype.Float32 => 4,
        Dtype.Float64 => 8,
        _ => throw new BrokenTensorException($"element type {dtype} is unknown"),
    };
}

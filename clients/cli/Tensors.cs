using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using Google.Protobuf;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>The tensor encoding of lrtmesh.v1 as a client needs it.</summary>
internal static class Tensors
{
    /// <summary>CRC-32C (Castagnoli), as RFC 3720 appendix B.4 computes it.</summary>
    public static uint Crc32C(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        while (data.Length >= sizeof(ulong))
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(data));
            data = data[sizeof(ulong)..];
        }

        foreach (byte b in data)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return ~crc;
    }

    /// <summary>A float32 tensor of shape [elements].</summary>
    public static Tensor Of(ReadOnlySpan<float> elements)
    {
        var bytes = MemoryMarshal.AsBytes(elements);
        return new Tensor
        {
            Header = new TensorHeader { Dtype = Dtype.Float32, Shape = { (ulong)elements.Length }, ByteLength = (ulong)bytes.Length },
            Data = ByteString.CopyFrom(bytes),
            Crc32C = Crc32C(bytes),
        };
    }

    /// <summary>The elements of a whole float32 tensor.</summary>
    /// <exception cref="CommandException">It is of another type, or damaged.</exception>
    public static float[] Float32(Tensor tensor)
    {
        var data = tensor.Data.Span;
        if (tensor.Header is not { Dtype: Dtype.Float32 } header || header.ByteLength != (ulong)data.Length || Crc32C(data) != tensor.Crc32C)
        {
            throw new CommandException("The server sent a tensor that is damaged, or not of float32.");
        }

        return MemoryMarshal.Cast<byte, float>(data).ToArray();
    }

    /// <summary>Bytes of one element.</summary>
    /// <exception cref="CommandException">The type is none that this version knows.</exception>
    public static int ElementSize(Dtype dtype) => dtype switch
    {
        Dtype.Float16 or Dtype.Bfloat16 => 2,
        Dtype.Float32 => 4,
        Dtype.Float64 => 8,
        _ => throw new CommandException($"The server sent a tensor of unknown element type {dtype}."),
    };
}

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tensors;

/// <summary>A tensor's own memory.</summary>
public static class TensorMemory
{
    /// <summary>The elements of a contiguous float32 tensor on the CPU, row-major; valid while the tensor lives.</summary>
    public static Span<float> Floats(this Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);

    /// <summary>Where the elements of a contiguous tensor on the CPU begin; valid while the tensor lives.</summary>
    internal static unsafe byte* Address(Tensor tensor)
    {
        if (!tensor.is_contiguous())
        {
            throw new ArgumentException("must be contiguous", nameof(tensor));
        }

        // A span over the whole could pass 2 GiB.
        using var first = tensor.numel() > int.MaxValue / sizeof(double) ? tensor.narrow(0, 0, 1) : null;
        return (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetReference((first ?? tensor).bytes));
    }
}

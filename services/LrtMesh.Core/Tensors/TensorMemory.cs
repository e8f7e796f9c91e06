using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tensors;

/// <summary>A tensor's own memory.</summary>
public static class TensorMemory
{
    /// <summary>The elements of a contiguous float32 tensor on the CPU, row-major; valid while the tensor lives.</summary>
    public static Span<float> Floats(this Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);
}

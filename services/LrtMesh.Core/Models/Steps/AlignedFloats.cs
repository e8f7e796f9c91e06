using System.Runtime.InteropServices;

namespace LrtMesh.Core.Models.Steps;

/// <summary>Float32 memory for one step's intermediate results, aligned to a cache line, zeros at first.</summary>
internal sealed unsafe class AlignedFloats(nint count) : IDisposable
{
    private const int CacheLine = 64; // bytes

    /// <summary>The first.</summary>
    public float* First { get; private set; } = Allocate(count);

    /// <summary>Row <paramref name="row"/> of [rows, width].</summary>
    public Span<float> Row(int row, int width) => new(First + ((nint)row * width), width);

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(First);
        First = null;
    }

    private static float* Allocate(nint count)
    {
        var bytes = (nuint)count * sizeof(float);
        var first = (float*)NativeMemory.AlignedAlloc(bytes, CacheLine);
        NativeMemory.Clear(first, bytes);
        return first;
    }
}

using System.Runtime.InteropServices;

namespace LrtMesh.Core.Models.Steps;

/// <summary>Float32 memory for one step's intermediate results, aligned to a cache line, zeros at first.</summary>
internal sealed unsafe class AlignedFloats(nint count) : IDisposable
{
    private const int CacheLine = 64; // bytes

    /// <summary>The first.</summary>
    public float* First { get; private set; } = Allocate(count);

    /// <summary>How many.</summary>
    public nint Count { get; private set; } = count;

    /// <summary>Row <paramref name="row"/> of [rows, width].</summary>
    public Span<float> Row(int row, int width) => new(First + ((nint)row * width), width);

    /// <summary>Makes room for so many; what was there is lost.</summary>
    public void Require(nint count)
    {
        if (count > Count)
        {
            Dispose();
            First = Allocate(2 * count);
            Count = 2 * count;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(First);
        First = null;
        Count = 0;
    }

    private static float* Allocate(nint count)
    {
        var bytes = (nuint)count * sizeof(float);
        var first = (float*)NativeMemory.AlignedAlloc(bytes, CacheLine);
        NativeMemory.Clear(first, bytes);
        return first;
    }
}

using System.Numerics.Tensors;

namespace LrtMesh.Core.Maps;

/// <summary>Rows of a layout, all layers beside each other, about the origin.</summary>
internal static class RowBuffer
{
    /// <summary>Copies rows of each layer into their columns and takes the origin away.</summary>
    /// <param name="buffer">[rows, layout.Width].</param>
    /// <param name="at">First row to write.</param>
    /// <param name="layers">Rows of each layer, [rows, d].</param>
    /// <param name="from">First row to read.</param>
    /// <param name="count">Rows to copy.</param>
    /// <param name="layout">Layers.</param>
    /// <param name="origin">[layout.Width].</param>
    public static void Fill(
        float[] buffer, int at, ReadOnlySpan<ReadOnlyMemory<float>> layers, int from, int count, MomentLayout layout, float[] origin)
    {
        for (var i = 0; i < layers.Length; i++)
        {
            var (width, start) = (layout.Widths[i], layout.Starts[i]);
            var rows = layers[i].Span;
            var mean = origin.AsSpan(start, width);
            for (var row = 0; row < count; row++)
            {
                TensorPrimitives.Subtract(
                    rows.Slice((from + row) * width, width), mean, buffer.AsSpan(((at + row) * layout.Width) + start, width));
            }
        }
    }
}

using System.Numerics.Tensors;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Means of a document's rows over runs of neighbouring tokens. A map fitted on single tokens serves first what varies most from token
/// to token, the tokens themselves; what lasts through a text and is small at each token, such as a behaviour, it carries poorly. In
/// means over windows the first averages out and the second stays.
/// </summary>
public static class WindowMeans
{
    /// <summary>The means.</summary>
    /// <param name="rows">[tokens, width], in order.</param>
    /// <param name="width">Columns.</param>
    /// <param name="window">Tokens of a window, about: a document is cut into equal parts, as near to this length as can be. 1 leaves the rows as they are.</param>
    /// <returns>[windows, width]; at least one window where there is a token.</returns>
    public static ReadOnlyMemory<float> Of(ReadOnlyMemory<float> rows, int width, int window)
    {
        var tokens = rows.Length / width;
        if (window <= 1 || tokens == 0)
        {
            return rows;
        }

        var windows = Math.Max(1, (tokens + (window / 2)) / window);
        var means = new float[windows * width];
        for (var i = 0; i < windows; i++)
        {
            var mean = means.AsSpan(i * width, width);
            var (start, end) = ((int)((long)tokens * i / windows), (int)((long)tokens * (i + 1) / windows));
            for (var token = start; token < end; token++)
            {
                TensorPrimitives.Add(mean, rows.Span.Slice(token * width, width), mean);
            }

            TensorPrimitives.Divide(mean, end - start, mean);
        }

        return means;
    }
}

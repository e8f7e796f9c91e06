namespace LrtMesh.Core.Steering;

/// <summary>A direction at one layer of one model: its elements [width] and where it came from.</summary>
public sealed record SteeringVector(V1.Vector Info, float[] Elements)
{
    /// <summary>
    /// A vector whose width, norm and digest are computed from its elements.
    /// </summary>
    /// <param name="info">Name, model, model digest, layer and provenance.</param>
    /// <param name="elements">[width], finite and not all zero.</param>
    /// <exception cref="LrtMeshException">An element is not finite, or all are zero.</exception>
    public static SteeringVector Create(V1.Vector info, float[] elements)
    {
        var squares = 0.0;
        foreach (var element in elements)
        {
            if (!float.IsFinite(element))
            {
                throw LrtMeshException.Invalid("elements", "must all be finite numbers");
            }

            squares += (double)element * element;
        }

        if (squares == 0)
        {
            throw LrtMeshException.Invalid("elements", "must not all be zero: a zero vector has no direction");
        }

        var described = info.Clone();
        described.Width = (uint)elements.Length;
        described.Norm = Math.Sqrt(squares);
        described.Digest = DigestOf(described, elements);
        return new SteeringVector(described, elements);
    }

    /// <summary>The content digest: over model, layer and elements, not over name or provenance.</summary>
    public static string DigestOf(V1.Vector info, ReadOnlySpan<float> elements)
    {
        using var digest = new ContentDigest();
        return digest.Add("vector").Add(info.Model).Add(info.ModelDigest).Add(info.Layer).Add(elements).Finish();
    }
}

using LrtMesh.Core.Maps;
using LrtMesh.Core.Steering;

namespace LrtMesh.TestKit.Stores;

/// <summary>Records to store.</summary>
public static class StoreSamples
{
    /// <summary>A vector whose elements all come from a seed, so that a mix of two shows.</summary>
    public static SteeringVector Vector(string name, int seed = 1, int width = 64) => SteeringVector.Create(
        new V1.Vector { Name = name, Model = "tiny", ModelDigest = "sha256:0", Layer = 3, Provenance = new() { Method = V1.VectorMethod.Given } },
        Elements(width, seed));

    /// <summary>A map whose elements all come from a seed.</summary>
    public static AffineMap Map(string name, int seed = 1, int source = 24, int target = 32) => AffineMap.Create(
        new V1.AffineMap
        {
            Name = name,
            Source = new() { Model = "tiny", Layer = 1 },
            Target = new() { Model = "small", Layer = 2 },
            SourceDigest = "sha256:0",
            TargetDigest = "sha256:1",
        },
        Elements(source * target, seed),
        Elements(target, seed));

    private static float[] Elements(int count, int seed)
    {
        var elements = new float[count];
        for (var i = 0; i < count; i++)
        {
            elements[i] = seed + i * 1e-3f;
        }

        return elements;
    }
}

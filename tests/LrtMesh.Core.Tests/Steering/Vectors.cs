using LrtMesh.Core.Steering;

namespace LrtMesh.Core.Tests.Steering;

/// <summary>Sources of vectors without a store.</summary>
internal static class Vectors
{
    /// <summary>One vector under every name, and no map.</summary>
    public static VectorSource Always(SteeringVector vector) =>
        new((_, _, _, _) => Task.FromResult(vector), (name, _, field, _) => throw LrtMeshException.NotFound(field, name), new MappedVectors());
}

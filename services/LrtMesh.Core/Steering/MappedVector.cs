using LrtMesh.V1;

namespace LrtMesh.Core.Steering;

/// <summary>A vector of one model, carried over to another by an affine map.</summary>
public static class MappedVector
{
    /// <summary>Carries a vector over.</summary>
    /// <param name="vector">A vector of the map's source.</param>
    /// <param name="map">The map.</param>
    /// <param name="name">The new vector's name.</param>
    /// <param name="addBias">False: A·v, as a difference of states maps; true: A·v + b.</param>
    /// <param name="field">Proto path of the field that names the vector, for errors.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: the vector does not belong to the map's source.</exception>
    public static SteeringVector Create(SteeringVector vector, Maps.AffineMap map, string name, bool addBias, string field)
    {
        CheckFits(vector, map, field);
        return SteeringVector.Create(
            new Vector
            {
                Name = name,
                Model = map.Info.Target.Model,
                ModelDigest = map.Info.TargetDigest,
                Layer = map.Info.Target.Layer,
                Provenance = new VectorProvenance
                {
                    Method = VectorMethod.Mapped,
                    SourceVector = vector.Info.Name,
                    SourceVectorDigest = vector.Info.Digest,
                    SourceVectorVersion = vector.Info.Version,
                    Map = map.Info.Name,
                    MapDigest = map.Info.Digest,
                    MapVersion = map.Info.Version,
                    MapBiasAdded = addBias,
                },
            },
            map.Apply(vector.Elements, addBias));
    }

    private static void CheckFits(SteeringVector vector, Maps.AffineMap map, string field)
    {
        var from = map.Info.Source;
        var wanted = $"'{map.Info.Name}' maps from layer {from.Layer} of {from.Model}";
        // A vector that was stored without a digest is bound to its model by name.
        var sameModel = vector.Info.ModelDigest.Length > 0 ? vector.Info.ModelDigest == map.Info.SourceDigest : vector.Info.Model == from.Model;
        if (!sameModel)
        {
            throw LrtMeshException.Mismatch(
                field, $"'{vector.Info.Name}' belongs to {vector.Info.Model}{(vector.Info.Model == from.Model ? " with other weights" : "")}, and {wanted}");
        }

        if (vector.Info.Layer != from.Layer)
        {
            throw LrtMeshException.Mismatch(field, $"'{vector.Info.Name}' is for layer {vector.Info.Layer}, and {wanted}");
        }

        if (vector.Info.Width != map.Info.SourceWidth)
        {
            throw LrtMeshException.Mismatch(field, $"'{vector.Info.Name}' is {vector.Info.Width} wide, and {wanted}, which is {map.Info.SourceWidth} wide");
        }
    }
}

using LrtMesh.Core.Maps;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;

namespace LrtMesh.Core.Steering;

/// <summary>Reads a stored record on behalf of a request.</summary>
/// <param name="name">Its name.</param>
/// <param name="version">Its version; 0: the newest.</param>
/// <param name="field">Proto path of the field that names it, for errors.</param>
/// <param name="cancellation">Ends the reading.</param>
public delegate Task<T> ReadRecord<T>(string name, ulong version, string field, CancellationToken cancellation);

/// <summary>
/// Where the vectors of a request come from: the store, a map of a stored one, or the request itself.
/// </summary>
/// <param name="vectors">Reads a stored vector.</param>
/// <param name="maps">Reads a stored map.</param>
/// <param name="mapped">Keeps what was mapped.</param>
/// <param name="tenant">Whose request it is.</param>
public sealed class VectorSource(ReadRecord<SteeringVector> vectors, ReadRecord<Maps.AffineMap> maps, MappedVectors mapped, string tenant = "")
{
    /// <summary>No store: every vector is given.</summary>
    public static VectorSource Given { get; } = new(
        (name, _, field, _) => throw LrtMeshException.NotFound(field, $"there is no vector '{name}'"),
        (name, _, field, _) => throw LrtMeshException.NotFound(field, $"there is no map '{name}'"),
        new MappedVectors());

    /// <summary>The vector of a steering, as one of the model.</summary>
    /// <exception cref="LrtMeshException">NotFound; FailedPrecondition: of another model; InvalidArgument: a given one is wrong.</exception>
    public async Task<SteeringVector> OfAsync(V1.Steering steering, string field, Model model, CancellationToken cancellation)
    {
        if (steering.Given is { } given)
        {
            return Create(given, steering.Layer, $"{field}.given", model);
        }

        if (steering.Map.Length == 0)
        {
            return await FindAsync(steering.Vector, steering.VectorVersion, $"{field}.vector", model, cancellation);
        }

        var vector = await vectors(steering.Vector, steering.VectorVersion, $"{field}.vector", cancellation);
        var map = await maps(steering.Map, steering.MapVersion, $"{field}.map", cancellation);
        var carried = mapped.Of(tenant, vector, map, $"{field}.vector");
        CheckFits(carried.Info, $"{field}.map", model, $"what '{steering.Map}' makes of it");
        return carried;
    }

    /// <summary>A stored vector of the model.</summary>
    /// <exception cref="LrtMeshException">NotFound; FailedPrecondition: of another model.</exception>
    public async Task<SteeringVector> FindAsync(string name, ulong version, string field, Model model, CancellationToken cancellation)
    {
        var vector = await vectors(name, version, field, cancellation);
        CheckFits(vector.Info, field, model, $"'{name}'");
        return vector;
    }

    private static SteeringVector Create(V1.Tensor given, uint layer, string field, Model model)
    {
        if (given.Header is { } header && (header.Shape.Count != 1 || header.Shape[0] != model.Width))
        {
            throw LrtMeshException.Invalid($"{field}.header.shape", $"must be [{model.Width}], the width of {model.Name}");
        }

        var elements = TensorCodec.Decode(given, field, model.Width);
        if (!elements.All(float.IsFinite) || elements.All(element => element == 0))
        {
            throw LrtMeshException.Invalid(field, "must hold finite numbers that are not all zero");
        }

        return SteeringVector.Create(
            new Vector
            {
                Model = model.Name,
                ModelDigest = model.Digest,
                Layer = layer,
                Provenance = new VectorProvenance { Method = VectorMethod.Given },
            },
            elements);
    }

    private static void CheckFits(Vector vector, string path, Model model, string what)
    {
        if (vector.Width != model.Width)
        {
            throw LrtMeshException.Mismatch(
                path, $"{what} is {vector.Width} wide and {model.Name} is {model.Width}: a vector of {vector.Model} reaches another model by a map");
        }

        if (vector.ModelDigest.Length > 0 ? vector.ModelDigest != model.Digest : vector.Model != model.Name)
        {
            throw LrtMeshException.Mismatch(
                path, $"{what} belongs to {vector.Model} ({Short(vector.ModelDigest)}), and this is {model.Name} ({Short(model.Digest)}): learn it on this model or transfer it");
        }

        if (vector.Layer >= model.Layers)
        {
            throw LrtMeshException.Mismatch(path, $"{what} is for layer {vector.Layer}, and {model.Name} has {model.Layers} layers");
        }
    }

    private static string Short(string digest) => digest.Length > 19 ? digest[..19] : "no digest";
}

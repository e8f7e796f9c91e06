using LrtMesh.Core.Maps;

namespace LrtMesh.Core.Store;

/// <summary>A shared basis and what is known of it.</summary>
/// <param name="Info">Models, measurements and where it came from.</param>
/// <param name="Basis">The maps into it and out of it.</param>
public sealed record StoredBasis(V1.SharedBasis Info, SharedBasis Basis)
{
    /// <summary>A basis whose digest is set from its models and elements.</summary>
    public static StoredBasis Create(V1.SharedBasis info, SharedBasis basis)
    {
        var described = info.Clone();
        using var digest = new ContentDigest();
        digest.Add("basis").Add(basis.Rank);
        foreach (var (model, maps) in info.Models.Zip(basis.Models))
        {
            digest.Add(model.Digest).Add(model.Layer.Layer);
            foreach (var values in Arrays(maps))
            {
                digest.Add(values);
            }
        }

        described.Digest = digest.Finish();
        return new StoredBasis(described, basis);
    }

    /// <summary>Shapes of the tensors that a basis has by its description: of each model mean [d], read [r, d], write [d, r], and of a founder its part in the coordinates [r, d].</summary>
    public static IReadOnlyList<ulong[]> ShapesOf(V1.SharedBasis info) => [.. info.Models.SelectMany(model => (ulong[][])[
        [model.Width], [info.Rank, model.Width], [model.Width, info.Rank], .. model.Founder ? (ulong[][])[[info.Rank, model.Width]] : []])];

    /// <summary>A basis of tensors that another was made of.</summary>
    /// <param name="info">Its description.</param>
    /// <param name="tensors">Row-major, of <see cref="ShapesOf"/>.</param>
    public static StoredBasis Of(V1.SharedBasis info, IReadOnlyList<float[]> tensors)
    {
        var next = 0;
        double[] Take() => Array.ConvertAll(tensors[next++], value => (double)value);
        return Create(info, SharedBasis.Of((int)info.Rank, info.Lambda, [.. info.Agreement], [.. info.Models.Select(model => new BasisModel(Take(), Take(), Take(), model.Founder ? Take() : null))]));
    }

    /// <summary>Its tensors, row-major, of <see cref="ShapesOf"/>.</summary>
    public IReadOnlyList<float[]> Tensors() => [.. Basis.Models.SelectMany(model => model.Combine is null ? Arrays(model)[..^1] : Arrays(model))];

    /// <summary>The map from one of its models to another, to be stored.</summary>
    /// <param name="name">Name of the map.</param>
    /// <param name="source">Name of the model read.</param>
    /// <param name="target">Name of the model written.</param>
    /// <exception cref="LrtMeshException">NotFound: a model that is not in the basis; InvalidArgument: twice the same.</exception>
    public AffineMap Between(string name, string source, string target)
    {
        var (from, to) = (IndexOf(source, "source_model"), IndexOf(target, "target_model"));
        if (from == to)
        {
            throw LrtMeshException.Invalid("target_model", "must be another model than the source");
        }

        var (a, b) = Basis.Between(from, to);
        var (x, y) = (Info.Models[from], Info.Models[to]);
        return AffineMap.Create(
            new V1.AffineMap
            {
                Name = name,
                Source = x.Layer,
                Target = y.Layer,
                SourceDigest = x.Digest,
                TargetDigest = y.Digest,
                DataDigest = Info.DataDigest,
                BasisDigest = Info.Digest,
                Metrics = new V1.MapMetrics
                {
                    R2 = Info.Pairs.FirstOrDefault(pair => pair.Source.Equals(x.Layer) && pair.Target.Equals(y.Layer))?.R2Through ?? 0,
                    Rows = Info.Rows,
                    Lambda = Info.Lambda,
                    Rank = Info.Rank,
                    Converged = true,
                },
            },
            [.. a.Select(value => (float)value)],
            [.. b.Select(value => (float)value)]);
    }

    internal static float[][] Arrays(BasisModel model) => [.. new[] { model.Mean, model.Read, model.Write, model.Combine ?? [] }.Select(values => Array.ConvertAll(values, value => (float)value))];

    private int IndexOf(string model, string field)
    {
        var index = Info.Models.ToList().FindIndex(known => known.Layer.Model == model);
        return index >= 0 ? index
            : throw LrtMeshException.NotFound(field, $"'{model}' is not in the basis '{Info.Name}'; it has {string.Join(", ", Info.Models.Select(known => known.Layer.Model))}");
    }
}

using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// A basis in which N models are read and written: a state of any model is read into r common coordinates, and written from them
/// into any other, so that N models need 2N maps instead of N².
/// </summary>
/// <remarks>
/// <para>Generalized canonical correlation analysis, MAXVAR (Horst 1961; Kettenring 1971): coordinates G, uncorrelated and of unit
/// variance over the rows, that minimize Σ_i ‖G − X_i·W_i‖². With Σ_ii + λ·s_i·I = T_i⁻ᵀT_i⁻¹ (a ridge as in Rastogi, Van
/// Durme and Arora 2015) and M = [T_iᵀ·Σ_ij·T_j], eigenvectors M·u = μ·u give G = Σ_i X_i·T_i·u_i·√(n/μ): everything follows from the
/// cross-moments of the models on the same rows.</para>
/// <para>A model's reading map is the ridge regression of G on it, and its writing map the regression of it on G. Both need
/// ΣX_iᵀG alone, so that a model added later changes none of the others.</para>
/// </remarks>
public sealed class SharedBasis
{
    private const double LeastAgreement = 1e-9; // μ below this is rounding

    private SharedBasis(int rank, double lambda, double[] agreement, IReadOnlyList<BasisModel> models) =>
        (Rank, Lambda, Agreement, Models) = (rank, lambda, agreement, models);

    /// <summary>r, the number of common coordinates.</summary>
    public int Rank { get; }

    /// <summary>The penalty, relative to the mean variance of each model's dimensions.</summary>
    public double Lambda { get; }

    /// <summary>
    /// μ/N of each coordinate, largest first, [r]: the mean over the founding models of how much of it each explains (of R² when λ
    /// is 0); 1 where all agree, 1/N where one has it for itself.
    /// </summary>
    public IReadOnlyList<double> Agreement { get; }

    /// <summary>The models, in the order of the moments and then as added.</summary>
    public IReadOnlyList<BasisModel> Models { get; }

    /// <summary>Memory in bytes for a fit of models of these widths, at its peak, beside the moments.</summary>
    public static long BytesNeeded(IReadOnlyList<int> widths)
    {
        var total = widths.Aggregate((Int128)0, (sum, d) => sum + d);
        return (long)Int128.Min(long.MaxValue, 6 * total * total * sizeof(double)); // M, its eigenvectors and eigh's workspace
    }

    /// <summary>Fits a basis.</summary>
    /// <param name="moments">Moments of all models on the same rows, with every pair (<see cref="MomentLayout.Every"/>).</param>
    /// <param name="rank">r, at least 1; no more than the models' directions together.</param>
    /// <param name="lambda">The penalty, relative to the mean variance of each model's dimensions, finite and not negative.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: rank or penalty. FailedPrecondition: fewer than two models, a pair
    /// missing, or fewer rows than coordinates.</exception>
    public static SharedBasis Fit(JointMoments moments, int rank, double lambda)
    {
        _ = Ridge.Checked(lambda);
        var count = moments.Layout.Widths.Count;
        if (count < 2)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, "models: a shared basis needs at least two models");
        }

        using var scope = NewDisposeScope();
        var whitened = Enumerable.Range(0, count).Select(i => new Whitened(moments, i, lambda)).ToArray();
        var total = whitened.Sum(w => w.Rank);
        if (rank < 1 || rank > Math.Min(total, moments.Rows - 1))
        {
            throw LrtMeshException.Invalid(
                "rank", $"must be from 1 to {Math.Min(total, moments.Rows - 1)}, the directions that {moments.Rows} rows of the models take together, not {rank}");
        }

        // M: [total, total], a block row for each model.
        var blocks = whitened.Select((row, i) => cat(
            [.. whitened.Select((column, j) => row.Basis.t().matmul(Cross(moments, i, j)).matmul(column.Basis))], 1)).ToArray();
        var gram = cat(blocks, 0);
        var (values, vectors) = linalg.eigh(gram.add(gram.t(), Number.One).div_(Number.Of(2)));
        var mu = values.narrow(0, total - rank, rank).flip(0); // [r], largest first
        if (mu[-1].item<double>() <= LeastAgreement)
        {
            throw LrtMeshException.Invalid("rank", $"must be at most {mu.gt(Number.Of(LeastAgreement)).sum().item<long>()}: further coordinates carry nothing");
        }

        var u = vectors.narrow(1, total - rank, rank).flip(1).mul_(mu.reciprocal().mul_(Number.Of(moments.Rows)).sqrt_()); // [total, r]
        var models = new List<BasisModel>(count);
        for (int i = 0, at = 0; i < count; at += whitened[i].Rank, i++)
        {
            var combine = whitened[i].Basis.matmul(u.narrow(0, at, whitened[i].Rank)); // X_i's part in G: [d, r]
            var written = whitened[i].Inverse.matmul(blocks[i].matmul(u)).div_(Number.Of(moments.Rows)); // ΣX_iᵀG/n: [d, r]
            models.Add(Model(whitened[i], written, CentredMoments.Copy(combine.t())));
        }

        return new SharedBasis(rank, lambda, CentredMoments.Copy(mu.div(Number.Of(count))), models);
    }

    /// <summary>A basis of maps that were fitted before.</summary>
    /// <param name="rank">r.</param>
    /// <param name="lambda">The penalty that they were fitted with.</param>
    /// <param name="agreement">Of each coordinate, [r].</param>
    /// <param name="models">The models, founders first.</param>
    public static SharedBasis Of(int rank, double lambda, double[] agreement, IReadOnlyList<BasisModel> models) => new(rank, lambda, agreement, models);

    /// <summary>
    /// The basis with one more model, the maps of the others unchanged: its coordinates are those of the founding models, whose
    /// parts in them are known.
    /// </summary>
    /// <param name="moments">Moments on the same rows of the founding models, in their order, and then of the new one, each of
    /// them paired with it; the rows may be others than the basis was fitted on, of the same kind of text.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: layers do not fit the basis, or a pair is missing.</exception>
    public SharedBasis Add(JointMoments moments)
    {
        var founders = Models.Where(m => m.Combine is not null).ToArray();
        var index = founders.Length;
        if (!moments.Layout.Widths.SkipLast(1).SequenceEqual(founders.Select(m => m.Width)))
        {
            throw LrtMeshException.Mismatch(
                "models", $"must be the basis' founding models, of widths {string.Join(", ", founders.Select(m => m.Width))}, and then the new one");
        }

        using var scope = NewDisposeScope();
        var whitened = new Whitened(moments, index, Lambda);
        var written = zeros(whitened.Width, Rank, dtype: ScalarType.Float64); // ΣX_newᵀG/n
        for (var j = 0; j < index; j++)
        {
            written.add_(Cross(moments, index, j).matmul(CentredMoments.Matrix(founders[j].Combine, Rank).t()), Number.One);
        }

        return new SharedBasis(Rank, Lambda, [.. Agreement], [.. Models, Model(whitened, written.div_(Number.Of(moments.Rows)), null)]);
    }

    /// <summary>The map from one model to another through the basis, y ≈ A·x + b.</summary>
    /// <param name="source">Index of the model read.</param>
    /// <param name="target">Index of the model written.</param>
    /// <returns>A [dt, ds], row-major, and b [dt].</returns>
    public (double[] A, double[] B) Between(int source, int target)
    {
        var (from, to) = (Models[source], Models[target]);
        using var scope = NewDisposeScope();
        var map = CentredMoments.Matrix(to.Write, to.Width).matmul(CentredMoments.Matrix(from.Read, Rank)); // [dt, ds]
        var bias = CentredMoments.Vector(to.Mean).sub_(map.mv(CentredMoments.Vector(from.Mean)));
        return (CentredMoments.Copy(map), CentredMoments.Copy(bias));
    }

    private static BasisModel Model(Whitened whitened, Tensor written, double[]? combine)
    {
        // (Σ_ii + λ·s_i)⁻¹·ΣX_iᵀG = T·Tᵀ·ΣX_iᵀG
        var read = whitened.Basis.matmul(whitened.Basis.t().matmul(written)).mul_(Number.Of(whitened.Rows)); // [d, r]
        return new BasisModel(
            CentredMoments.Copy(whitened.Mean), CentredMoments.Copy(read.t()), CentredMoments.Copy(written), combine);
    }

    /// <summary>Σ(x_i − x̄_i)(x_j − x̄_j)ᵀ, [d_i, d_j].</summary>
    private static Tensor Cross(JointMoments moments, int i, int j)
    {
        if (i == j)
        {
            return Centred(moments.Square(i), i, i);
        }

        if (moments.Layout.IndexOf(i, j) is >= 0 and var pair)
        {
            return Centred(moments.Cross(pair), i, j);
        }

        return moments.Layout.IndexOf(j, i) is >= 0 and var back
            ? Centred(moments.Cross(back), j, i).t()
            : throw new LrtMeshException(ErrorReason.FailedPrecondition, $"models: the products of models {i} and {j} were not gathered");

        Tensor Centred(double[] products, int u, int v)
        {
            var (sumU, sumV) = (CentredMoments.Vector(moments.Sum(u)), CentredMoments.Vector(moments.Sum(v)));
            return CentredMoments.Matrix(products, moments.Layout.Widths[u]).sub_(outer(sumU, sumV).div_(Number.Of(moments.Rows)));
        }
    }

    /// <summary>A model's dimensions in the units in which Σ_ii + λ·s_i is the identity, without directions that carry nothing.</summary>
    private sealed class Whitened
    {
        public Whitened(JointMoments moments, int model, double lambda)
        {
            Rows = moments.Rows;
            var mean = CentredMoments.Vector(moments.Sum(model)).div_(Number.Of(Rows));
            Mean = mean.add(tensor(moments.Origin(model)).to(ScalarType.Float64), Number.One);
            var squares = CentredMoments.Matrix(moments.Square(model), moments.Layout.Widths[model]).diagonal().clone();
            var xx = Cross(moments, model, model);
            var covariance = new SourceCovariance(new CentredMoments(Rows, mean, mean, xx, xx, squares), standardize: false);
            var (values, basis) = linalg.eigh(covariance.Matrix);
            var kept = (values > covariance.Noise(basis)).nonzero().flatten();
            var roots = values.index_select(0, kept).add_(Number.Of(lambda * covariance.MeanVariance), Number.One).sqrt_();
            var v = basis.index_select(1, kept);
            (Basis, Inverse) = (v.div(roots), v.mul(roots));
        }

        public long Rows { get; }

        public int Width => (int)Basis.shape[0];

        public int Rank => (int)Basis.shape[1];

        public Tensor Mean { get; } // [d]

        public Tensor Basis { get; } // T: [d, rank]

        public Tensor Inverse { get; } // T⁻ᵀ on the directions kept: [d, rank]
    }
}

/// <summary>One model of a shared basis.</summary>
/// <param name="Mean">Mean of its rows, [d].</param>
/// <param name="Read">Model to basis, g ≈ Read·(x − mean), [r, d].</param>
/// <param name="Write">Basis to model, x ≈ mean + Write·g, [d, r].</param>
/// <param name="Combine">A founding model's part in the coordinates themselves, g = Σ Combine·(x − mean), [r, d]; null for one added later.</param>
public sealed record BasisModel(double[] Mean, double[] Read, double[] Write, double[]? Combine)
{
    /// <summary>d.</summary>
    public int Width => Mean.Length;
}

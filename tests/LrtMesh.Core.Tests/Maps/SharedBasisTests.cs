using LrtMesh.Core.Maps;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class SharedBasisTests : TorchLeakCheck
{
    private const int Folds = 3;

    [Fact]
    public void Models_of_a_common_latent_are_mapped_through_it_as_well_as_directly()
    {
        var models = FromLatent(1, 3000, 4, 0.05, 6, 9, 12);
        var moments = Accumulate(models);
        var basis = SharedBasis.Fit(moments.Fit(), 4, 0);
        Assert.All(basis.Agreement, a => Assert.InRange(a, 0.99, 1));
        for (var pair = 0; pair < moments.Layout.Pairs.Count; pair++)
        {
            foreach (var back in new[] { false, true })
            {
                var (x, y) = moments.Layout.Pairs[pair];
                var direct = LeastSquares.Fit(back ? moments.Pair(pair).Transposed() : moments.Pair(pair));
                var (a, b) = back ? basis.Between(y, x) : basis.Between(x, y);
                var through = HeldOutMetrics.Measure(back ? moments.Pair(pair).HeldOut.Transposed() : moments.Pair(pair).HeldOut, a, b);
                Assert.InRange(direct.R2, 0.98, 1);
                Assert.InRange(direct.R2 - through.R2, -1e-3, 2e-3);
            }
        }

        // A coordinate beyond the latent is noise of one model, which the others know nothing of.
        Assert.InRange(SharedBasis.Fit(moments.Fit(), 5, 0).Agreement[4], 1.0 / 3, 0.45);
    }

    [Fact]
    public void Two_models_agree_as_their_canonical_correlations_say()
    {
        using var scope = NewDisposeScope();
        var models = FromLatent(2, 900, 3, 1.5, 5, 4);
        var moments = Accumulate(models);
        var basis = SharedBasis.Fit(moments.Fit(), 4, 0);
        var rows = FitRows(models);
        var (qx, _) = linalg.qr(rows[0]);
        var (qy, _) = linalg.qr(rows[1]);
        var correlations = linalg.svdvals(qx.t().matmul(qy)); // MAXVAR of two: μ = 1 + ρ
        Assert.Equal(correlations.data<double>().ToArray().Select(r => (1 + r) / 2), basis.Agreement, (a, b) => Math.Abs(a - b) < 1e-5);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.3)]
    public void Coordinates_and_maps_are_those_of_the_rows(double lambda)
    {
        using var scope = NewDisposeScope();
        var models = FromLatent(3, 900, 4, 1, 6, 5, 7);
        var basis = SharedBasis.Fit(Accumulate(models).Fit(), 3, lambda);
        var rows = FitRows(models);
        var n = rows[0].shape[0];

        // Eigenvectors of the summed (ridge) projections of rows, which is what MAXVAR asks for.
        var penalties = rows.Select(x => lambda * x.square().sum().item<double>() / x.shape[1]).ToArray();
        var inverses = rows.Select((x, i) => linalg.inv(x.t().matmul(x) + (penalties[i] * eye(x.shape[1], dtype: ScalarType.Float64)))).ToArray();
        var projections = rows.Select((x, i) => x.matmul(inverses[i]).matmul(x.t())).Aggregate((a, b) => a + b);
        var (values, vectors) = linalg.eigh(projections);
        for (var k = 0; k < 3; k++)
        {
            Assert.Equal(values[n - 1 - k].item<double>() / 3, basis.Agreement[k], 1e-5);
        }

        var g = rows.Select((x, i) => x.matmul(RowTensors.Matrix(basis.Models[i].Combine!, 3).t())).Aggregate((a, b) => a + b); // [n, 3]
        Assert.InRange(RowTensors.Difference(eye(3, dtype: ScalarType.Float64), g.t().matmul(g) / n), 0, 1e-5);
        var expected = vectors.narrow(1, n - 3, 3).flip(1) * Math.Sqrt(n);
        Assert.InRange(RowTensors.Difference(expected * (expected * g).sum([0L]).sign(), g), 0, 1e-4);
        for (var i = 0; i < 3; i++)
        {
            var read = inverses[i].matmul(rows[i].t().matmul(g)).t();
            Assert.InRange(RowTensors.Difference(read, RowTensors.Matrix(basis.Models[i].Read, 3)), 0, 1e-4);
            Assert.InRange(RowTensors.Difference(rows[i].t().matmul(g) / n, RowTensors.Matrix(basis.Models[i].Write, basis.Models[i].Width)), 0, 1e-4);
        }
    }

    [Fact]
    public void A_model_is_added_without_refitting_the_others()
    {
        var models = FromLatent(4, 3000, 4, 0.05, 6, 9, 8, 7);
        models.Add([.. models[1]]); // a copy of one that is in
        var founders = models.Take(3).ToList();
        var basis = SharedBasis.Fit(Accumulate(founders).Fit(), 4, 0.001);
        var added = basis.Add(Accumulate([.. founders, models[3]], joined: true).Fit());
        added = added.Add(Accumulate([.. founders, models[4]], joined: true).Fit());
        Assert.Equal(5, added.Models.Count);
        for (var i = 0; i < 3; i++)
        {
            Assert.Same(basis.Models[i], added.Models[i]);
        }

        // The copy's products are other sums of the same rows: the penalty of 10⁻³ lets their rounding, 10⁻⁷, grow a thousandfold.
        Assert.Equal(added.Models[1].Read, added.Models[4].Read, (a, b) => Math.Abs(a - b) < 1e-4);
        Assert.Equal(added.Models[1].Write, added.Models[4].Write, (a, b) => Math.Abs(a - b) < 1e-5);
        Assert.Null(added.Models[3].Combine);

        // The new one is read and written as well as if mapped directly.
        var direct = Accumulate([models[0], models[3]]);
        var (a, b) = added.Between(0, 3);
        Assert.InRange(LeastSquares.Fit(direct.Pair()).R2 - HeldOutMetrics.Measure(direct.Pair().HeldOut, a, b).R2, -1e-3, 5e-3);
        (a, b) = added.Between(3, 2);
        var other = Accumulate([models[3], models[2]]);
        Assert.InRange(LeastSquares.Fit(other.Pair()).R2 - HeldOutMetrics.Measure(other.Pair().HeldOut, a, b).R2, -1e-3, 5e-3);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        var models = FromLatent(5, 300, 2, 0.1, 3, 4);
        var fit = Accumulate(models).Fit();
        Assert.Equal("rank", Assert.Throws<LrtMeshException>(() => SharedBasis.Fit(fit, 8, 0)).Violations[0].Field);
        Assert.Equal("rank", Assert.Throws<LrtMeshException>(() => SharedBasis.Fit(fit, 0, 0)).Violations[0].Field);
        Assert.Equal("fit.lambda", Assert.Throws<LrtMeshException>(() => SharedBasis.Fit(fit, 1, -1)).Violations[0].Field);
        var basis = SharedBasis.Fit(fit, 2, 0);
        Assert.Equal("models", Assert.Throws<LrtMeshException>(() => basis.Add(fit)).Violations[0].Field);
        var partial = new MomentAccumulator(new MomentLayout([3, 4, 2], [(0, 1), (0, 2)]), Folds, false);
        partial.Add(0, new float[6], new float[8], new float[4]);
        Assert.Contains("2 and 1", Assert.Throws<LrtMeshException>(() => basis.Add(partial.Fit())).Message, StringComparison.Ordinal);
    }

    /// <summary>Rows of models that show one latent each in its own way, with noise of their own.</summary>
    private static List<float[][]> FromLatent(int seed, int rows, int latent, double noise, params int[] widths)
    {
        using var scope = NewDisposeScope();
        var random = new Random(seed);
        var z = RowTensors.Normals(random, rows, latent);
        return [.. widths.Select(width => RowTensors.Rows(
            z.matmul(RowTensors.Normals(random, latent, width)) + (noise * RowTensors.Normals(random, rows, width)) + width))];
    }

    /// <summary>Documents of 50 rows; with <paramref name="joined"/> only the last model is paired, with each other one.</summary>
    private static MomentAccumulator Accumulate(List<float[][]> models, bool joined = false)
    {
        int[] widths = [.. models.Select(m => m[0].Length)];
        var layout = joined
            ? new MomentLayout(widths, [.. Enumerable.Range(0, models.Count - 1).Select(i => (i, models.Count - 1))])
            : MomentLayout.Every(widths);
        var moments = new MomentAccumulator(layout, Folds, false);
        for (var document = 0; document < models[0].Length / 50; document++)
        {
            moments.Add(document % Folds, [.. models.Select(m => (ReadOnlyMemory<float>)PairedRows.Flat(m[(document * 50)..((document + 1) * 50)]))]);
        }

        return moments;
    }

    /// <summary>Centred rows of the folds of the fit.</summary>
    private static Tensor[] FitRows(List<float[][]> models) =>
        [.. models.Select(m => RowTensors.Centred([.. m.Where((_, row) => (row / 50) % Folds < Folds - 1)]))];
}

using CsCheck;
using LrtMesh.Core.Maps;
using Xunit;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class MomentAccumulatorTests : TorchLeakCheck
{
    [Fact]
    public void Any_split_into_documents_and_folds_gives_the_moments_of_the_rows() =>
        Gen.Select(Gen.Int[0, 1000], Gen.Int[1, 5], Gen.Int[1, 6], Gen.Int[3, 6], Gen.Int[1, 3000].Array[1, 6]).Sample(
            (seed, ds, dt, folds, lengths) =>
            {
                var all = PairedRows.Affine(seed, ds, dt, 1, 1, 1);
                var random = new Random(seed);
                foreach (var length in lengths)
                {
                    all.Documents.Add((
                        [.. Enumerable.Range(0, length).Select(_ => Row(random, ds))], [.. Enumerable.Range(0, length).Select(_ => Row(random, dt))]));
                }

                var moments = all.Accumulate(folds);
                for (var fold = 0; fold < folds; fold++)
                {
                    AssertMoments(all.Folds(folds, f => f == fold), moments.Fold(fold));
                }
            }, iter: 25, threads: 1);

    [Fact]
    public void Moments_add_between_workers_with_different_origins()
    {
        var rows = PairedRows.Affine(3, 4, 3, 30, 60, 1);
        var (first, second) = (new MomentAccumulator(4, 3, 3, true), new MomentAccumulator(4, 3, 3, true));
        for (var i = 0; i < rows.Documents.Count; i++)
        {
            (i < 12 ? first : second).Add(i % 3, PairedRows.Flat(rows.Documents[i].X), PairedRows.Flat(rows.Documents[i].Y));
        }

        Assert.NotEqual(first.Fold(0).OriginX, second.Fold(0).OriginX);
        var apart = second.Fold(1).Rows;
        first.Add(second);
        Assert.Equal(apart, second.Fold(1).Rows);
        for (var fold = 0; fold < 3; fold++)
        {
            AssertMoments(rows.Folds(3, f => f == fold), first.Fold(fold));
        }

        var (fitX, fitY) = rows.Folds(3, f => f < 2);
        Assert.Equal(fitX.Length, first.Control()!.Rows);
        Assert.Equal(rows.Documents.Sum(d => d.X.Length), first.Rows);
        Assert.Equal(rows.Folds(3, f => f == 2).X.Length, first.Sample.Rows);

        var empty = new MomentAccumulator(4, 3, 3, true);
        empty.Add(first);
        AssertMoments((fitX, fitY), Sum(empty.Fold(0), empty.Fold(1)));
    }

    [Fact]
    public void Taking_a_fold_away_leaves_the_others()
    {
        var rows = PairedRows.Affine(4, 5, 4, 20, 40, 1);
        var moments = rows.Accumulate(4);
        var left = Sum(moments.Fold(0), moments.Fold(1), moments.Fold(2));
        left.Subtract(moments.Fold(1));
        AssertMoments(rows.Folds(4, f => f is 0 or 2), left);
    }

    [Theory]
    [InlineData(300, 40)] // wide: a whole block in one product
    [InlineData(300, 3)] // narrow ones are summed row after row, and so in parts
    [InlineData(2, 260)]
    public void Sums_of_large_blocks_keep_the_seventh_digit(int ds, int dt)
    {
        // One row of zeros sets the origin: all products are positive, so that nothing cancels and partial sums are as large as can be.
        const int Rows = 2 * MomentAccumulator.BlockRows;
        var random = new Random(7);
        var (x, y) = (Positive(ds), Positive(dt));
        var moments = new MomentAccumulator(ds, dt, 3, false);
        moments.Add(0, new float[ds], new float[dt]);
        moments.Add(1, x, y);
        var fold = moments.Fold(1);
        AssertDigits(x, ds, x, ds, fold.Xx);
        AssertDigits(x, ds, y, dt, fold.Xy);
        AssertDigits(y, dt, y, dt, fold.Yy);

        float[] Positive(int width) => [.. Enumerable.Range(0, Rows * width).Select(_ => random.NextSingle())];

        static void AssertDigits(float[] u, int width, float[] v, int others, double[] sums)
        {
            for (var i = 0; i < width; i += Math.Max(1, width / 20))
            {
                for (var j = 0; j < others; j++)
                {
                    var exact = 0.0;
                    for (var row = 0; row < Rows; row++)
                    {
                        exact += (double)u[(row * width) + i] * v[(row * others) + j];
                    }

                    Assert.InRange(sums[(i * others) + j] / exact, 1 - 9e-7, 1 + 9e-7);
                }
            }
        }
    }

    [Theory]
    [InlineData(float.NaN, "NaN")]
    [InlineData(float.NegativeInfinity, "Infinity")]
    [InlineData(1e16f, "1E+16")]
    public void A_document_with_a_number_that_is_not_finite_is_refused_whole(float bad, string named)
    {
        var rows = PairedRows.Affine(5, 3, 2, 6, 10, 1);
        var moments = rows.Accumulate(3, shuffled: true);
        var before = moments.Rows;
        var y = new float[14];
        (y[5], y[12]) = (bad, bad);
        var error = Assert.Throws<LrtMeshException>(() => moments.Add(1, new float[21], y));
        Assert.Equal("target", error.Violations[0].Field);
        Assert.Contains("row 2, dimension 1", error.Message, StringComparison.Ordinal);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
        Assert.Contains("2 of 7 rows", error.Message, StringComparison.Ordinal);
        Assert.Equal((before, 2), (moments.Rows, moments.RefusedRows));
        AssertMoments(rows.Folds(3, f => f == 1), moments.Fold(1));
    }

    [Fact]
    public void Sides_that_do_not_fit_are_refused()
    {
        var moments = new MomentAccumulator(3, 2, 3, false);
        Assert.Equal("source", Assert.Throws<LrtMeshException>(() => moments.Add(0, new float[4], new float[2])).Violations[0].Field);
        Assert.Equal("target", Assert.Throws<LrtMeshException>(() => moments.Add(0, new float[6], new float[2])).Violations[0].Field);
        Assert.Equal("fit.folds", Assert.Throws<LrtMeshException>(() => new MomentAccumulator(3, 2, 2, false)).Violations[0].Field);
        moments.Add(0, Array.Empty<float>(), Array.Empty<float>());
        Assert.Equal(ErrorReason.FailedPrecondition, Assert.Throws<LrtMeshException>(() => moments.Fold(0)).Reason);
    }

    [Fact]
    public void The_control_pairs_every_row_with_one_of_another_document()
    {
        // A one-hot of the document on both sides: Σxy'ᵀ counts which document was paired with which.
        const int Documents = 40;
        var moments = new MomentAccumulator(Documents, Documents, 4, true);
        var random = new Random(6);
        var lengths = Enumerable.Range(0, Documents).Select(i => i == 7 ? 900 : 1 + random.Next(200)).ToArray();
        for (var i = 0; i < Documents; i++)
        {
            var rows = new float[lengths[i] * Documents];
            for (var row = 0; row < lengths[i]; row++)
            {
                rows[(row * Documents) + i] = 1;
            }

            moments.Add(i % 4, rows, rows);
        }

        var control = moments.Control()!;
        var origin = moments.Fold(0).OriginX;
        Assert.Equal(Enumerable.Range(0, Documents).Where(i => i % 4 < 3).Sum(i => lengths[i]), control.Rows);
        for (var i = 0; i < Documents; i++)
        {
            for (var j = 0; j < Documents; j++)
            {
                // Back from the origin: Σ(x + o)(y + o)ᵀ.
                var count = control.Xy[(i * Documents) + j] + (origin[i] * control.SumY[j]) + (control.SumX[i] * origin[j])
                    + (control.Rows * (double)origin[i] * origin[j]);
                Assert.True(i != j || Math.Abs(count) < 1e-3, $"document {i} met itself {count} times");
                Assert.True((i % 4 < 3 && j % 4 < 3) || Math.Abs(count) < 1e-3, $"the held-out fold took part: {i}, {j}: {count}");
            }
        }
    }

    [Fact]
    public void A_long_document_and_a_lonely_one_keep_the_control_bounded()
    {
        var moments = new MomentAccumulator(1, 1, 3, true);
        moments.Add(0, new float[5000], new float[5000]);
        Assert.Equal(0, moments.Control()!.Rows);
        moments.Add(1, new float[3000], new float[3000]);
        Assert.Equal(2048, moments.Control()!.Rows);
        moments.Add(1, new float[10], new float[10]);
        Assert.Equal(2048, moments.Control()!.Rows);
        Assert.Equal((5000, 3010), (moments.Fold(0).Rows, moments.Fold(1).Rows));
    }

    [Fact]
    public void The_held_out_sample_is_bounded_even_and_the_same_each_time()
    {
        var (first, second) = (Sampled(), Sampled());
        Assert.Equal(HeldOutSample.DefaultCapacity, first.Rows);
        Assert.Equal(first.Layer(0).ToArray(), second.Layer(0).ToArray());
        Assert.Equal(first.Layer(0).ToArray().Select(v => -v), first.Layer(1).ToArray());
        Assert.Equal(HeldOutSample.DefaultCapacity, first.Layer(0).ToArray().Distinct().Count());
        // Uniform over 0..19999: the mean of 4096 has a standard error of 90.
        Assert.InRange(first.Layer(0).ToArray().Average(), 9600, 10400);

        static HeldOutSample Sampled()
        {
            var moments = new MomentAccumulator(1, 1, 3, false);
            for (var document = 0; document < 200; document++)
            {
                var x = Enumerable.Range(document * 100, 100).Select(v => (float)v).ToArray();
                moments.Add(2, x, x.Select(v => -v).ToArray());
            }

            return moments.Sample;
        }
    }

    [Fact]
    public void Memory_is_known_before_it_is_taken()
    {
        var before = GC.GetAllocatedBytesForCurrentThread();
        var moments = new MomentAccumulator(96, 160, 5, true);
        moments.Add(0, new float[96], new float[160]);
        moments.Add(4, new float[96 * 5000], new float[160 * 5000]);
        _ = moments.Control();
        var spans = 5001L * (96 + 160) * sizeof(float);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before - spans, 1_000_000, 2 * MomentAccumulator.BytesNeeded(96, 160, 5, true));
        Assert.True(MomentAccumulator.BytesNeeded(2304, 3584, 5, true) > 1L << 30);
        Assert.Equal(long.MaxValue, MomentAccumulator.BytesNeeded(int.MaxValue, int.MaxValue, 16, true));
    }

    private static PairMoments Sum(params PairMoments[] parts)
    {
        var sum = parts[0].Clone();
        foreach (var part in parts[1..])
        {
            sum.Add(part);
        }

        return sum;
    }

    private static void AssertMoments((float[][] X, float[][] Y) rows, PairMoments moments)
    {
        Assert.Equal(rows.X.Length, moments.Rows);
        if (rows.X.Length == 0)
        {
            return;
        }

        double[] c = [.. moments.OriginX.Select(v => (double)v)];
        double[] d = [.. moments.OriginY.Select(v => (double)v)];
        var (xx, xy, yy) = (
            PairedRows.Products(rows.X, c, rows.X, c), PairedRows.Products(rows.X, c, rows.Y, d), PairedRows.Products(rows.Y, d, rows.Y, d));
        AssertClose(xx, moments.Xx, i => xx[i][i], i => xx[i][i]);
        AssertClose(xy, moments.Xy, i => xx[i][i], j => yy[j][j]);
        AssertClose(yy, moments.Yy, i => yy[i][i], j => yy[j][j]);
        AssertClose([[.. PairedRows.Mean(rows.X).Select((m, i) => (m - c[i]) * rows.X.Length)]], moments.SumX, _ => rows.X.Length, i => xx[i][i]);
        AssertClose([[.. PairedRows.Mean(rows.Y).Select((m, i) => (m - d[i]) * rows.X.Length)]], moments.SumY, _ => rows.X.Length, i => yy[i][i]);
    }

    /// <summary>To 1e-6 of √(scale of the row's dimension times scale of the column's), the most that a product of them can be.</summary>
    private static void AssertClose(double[][] expected, double[] actual, Func<int, double> rowScale, Func<int, double> columnScale)
    {
        for (var i = 0; i < expected.Length; i++)
        {
            for (var j = 0; j < expected[i].Length; j++)
            {
                var tolerance = (1e-6 * Math.Sqrt(rowScale(i) * columnScale(j))) + 1e-9;
                Assert.InRange(actual[(i * expected[i].Length) + j], expected[i][j] - tolerance, expected[i][j] + tolerance);
            }
        }
    }

    private static float[] Row(Random random, int width) => [.. Enumerable.Range(0, width).Select(i => (float)((random.NextDouble() * (i + 1)) + i))];
}

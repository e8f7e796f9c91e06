using LrtMesh.Core.Maps;
using Xunit;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class MomentLayoutTests : TorchLeakCheck
{
    [Fact]
    public void A_grid_in_one_pass_gives_what_each_pair_gives_alone()
    {
        var random = new Random(1);
        int[] sources = [3, 300], targets = [5, 2, 270];
        var layout = MomentLayout.Grid(sources, targets);
        Assert.Equal([(0, 2), (0, 3), (0, 4), (1, 2), (1, 3), (1, 4)], layout.Pairs);
        var grid = new MomentAccumulator(layout, 3, shuffled: true);
        var alone = layout.Pairs.Select(p => new MomentAccumulator(layout.Widths[p.X], layout.Widths[p.Y], 3, shuffled: true)).ToArray();
        for (var document = 0; document < 7; document++)
        {
            var length = 1 + random.Next(700);
            var layers = layout.Widths.Select(width => Rows(random, length, width)).ToArray();
            grid.Add(document % 3, [.. layers.Select(l => (ReadOnlyMemory<float>)l)]);
            for (var p = 0; p < alone.Length; p++)
            {
                alone[p].Add(document % 3, layers[layout.Pairs[p].X], layers[layout.Pairs[p].Y]);
            }
        }

        for (var p = 0; p < alone.Length; p++)
        {
            for (var fold = 0; fold < 3; fold++)
            {
                var (expected, actual) = (alone[p].Fold(fold), grid.Fold(fold, p));
                Assert.Equal(expected.Rows, actual.Rows);
                AssertClose(expected.Xx, actual.Xx);
                AssertClose(expected.Xy, actual.Xy);
                AssertClose(expected.Yy, actual.Yy);
                AssertClose(expected.SumX, actual.SumX);
            }

            Assert.Equal(alone[p].Control()!.Rows, grid.Control(p)!.Rows);
            AssertClose(alone[p].Control()!.Xy, grid.Control(p)!.Xy);
            Assert.Equal(alone[p].Sample.Layer(1).ToArray(), grid.Sample.Layer(layout.Pairs[p].Y).ToArray());
        }
    }

    [Fact]
    public void Pairs_in_either_order_and_apart_are_summed()
    {
        var random = new Random(2);
        var layout = new MomentLayout([4, 3, 6], [(2, 0), (0, 1)]);
        var moments = new MomentAccumulator(layout, 3, false);
        var direct = new MomentAccumulator(6, 4, 3, false);
        var layers = layout.Widths.Select(width => Rows(random, 90, width)).ToArray();
        moments.Add(0, layers[0], layers[1], layers[2]);
        direct.Add(0, layers[2], layers[0]);
        AssertClose(direct.Fold(0).Xy, moments.Fold(0).Xy);
        Assert.Equal((6, 4), (moments.Fold(0).SourceWidth, moments.Fold(0).TargetWidth));
        Assert.Equal(moments.Fold(0).Xx, moments.Fold(0).Transposed().Yy);
        Assert.Equal(moments.Fold(0).Xy, moments.Fold(0).Transposed().Transposed().Xy);
    }

    [Fact]
    public void What_moments_take_is_known_before_they_are_made()
    {
        // Every layer of a 2B model with every one of a 9B: a layout of this width is counted without being made.
        var widths = Enumerable.Repeat(2304, 26).Concat(Enumerable.Repeat(3584, 42)).ToArray();
        var pairs = Enumerable.Range(0, 26).SelectMany(s => Enumerable.Range(26, 42).Select(t => (s, t))).ToArray();
        var bytes = MomentLayout.BytesPerFold(widths, pairs);
        Assert.InRange(bytes, 76_000_000_000, 80_000_000_000);
        Assert.True(MomentAccumulator.BytesNeeded(widths, pairs, 3, false, 0) > 3 * bytes);
        var layout = MomentLayout.Every([10, 20, 30]);
        Assert.Equal(8 * (100 + 400 + 900 + 200 + 300 + 600 + 60), layout.BytesPerFold());
    }

    [Fact]
    public void Layouts_that_make_no_sense_are_refused()
    {
        Assert.Throws<ArgumentException>(() => new MomentLayout([3, 4], [(0, 0)]));
        Assert.Throws<ArgumentException>(() => new MomentLayout([3, 4], [(0, 1), (1, 0)]));
        Assert.Throws<ArgumentException>(() => new MomentLayout([3, 4], [(0, 2)]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new MomentLayout([3, 0], [(0, 1)]));
    }

    [Fact]
    public void Rows_that_are_not_finite_are_left_out_and_counted()
    {
        var rows = PairedRows.Affine(3, 3, 2, 6, 30, 1);
        var (clean, dirty) = (rows.Accumulate(3, shuffled: true), new MomentAccumulator(3, 2, 3, shuffled: true));
        for (var i = 0; i < 6; i++)
        {
            // A bad row before and after the good ones, once on either side.
            var (x, y) = (PairedRows.Flat(rows.Documents[i].X), PairedRows.Flat(rows.Documents[i].Y));
            Assert.Equal(2, dirty.AddFinite(i % 3, (float[])[0, float.NaN, 0, .. x, 1, 1, 1], (float[])[0, 0, .. y, float.PositiveInfinity, 1]));
        }

        Assert.Equal((12, clean.Rows), (dirty.RefusedRows, dirty.Rows));
        Assert.Equal(LeastSquares.Fit(clean.Pair()).A, LeastSquares.Fit(dirty.Pair()).A);
        Assert.Equal(clean.Control()!.Xy, dirty.Control()!.Xy);
        Assert.Equal(0, dirty.AddFinite(0, new float[3], new float[2]));
        Assert.Equal(1, dirty.AddFinite(0, (float[])[1, 2, float.NaN], new float[2]));
    }

    private static void AssertClose(double[] expected, double[] actual)
    {
        var scale = expected.Max(Math.Abs);
        Assert.Equal(expected, actual, (a, b) => Math.Abs(a - b) <= 1e-6 * scale);
    }

    private static float[] Rows(Random random, int rows, int width) =>
        [.. Enumerable.Range(0, rows * width).Select(_ => (float)(random.NextDouble() - 0.4))];
}

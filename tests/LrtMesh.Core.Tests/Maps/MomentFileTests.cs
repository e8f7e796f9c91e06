using CsCheck;
using LrtMesh.Core.Maps;
using Xunit;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class MomentFileTests : TorchLeakCheck
{
    private static readonly Dictionary<string, string> Nothing = [];

    [Fact]
    public void Saved_loaded_and_gone_on_is_bit_for_bit_the_undisturbed_run() =>
        Gen.Select(Gen.Int[0, 1000], Gen.Int[1, 400], Gen.Int[1, 300], Gen.Bool, Gen.Int[1, 900].Array[2, 12], Gen.Int[0, 12]).Sample(
            (seed, ds, dt, shuffled, lengths, cut) =>
            {
                var random = new Random(seed);
                var documents = lengths.Select(length => (X: Rows(random, length, ds), Y: Rows(random, length, dt))).ToArray();
                var undisturbed = new MomentAccumulator(ds, dt, 3, shuffled);
                var moments = new MomentAccumulator(ds, dt, 3, shuffled);
                for (var i = 0; i < documents.Length; i++)
                {
                    if (i == cut)
                    {
                        moments = MomentFile.Load(new MemoryStream(Save(moments))).Moments;
                    }

                    undisturbed.Add(i % 3, documents[i].X, documents[i].Y);
                    moments.Add(i % 3, documents[i].X, documents[i].Y);
                }

                Assert.Equal(Save(undisturbed), Save(moments));
                Assert.Equal(undisturbed.Rows, moments.Rows);
                for (var fold = 0; fold < 3; fold++)
                {
                    Assert.Equal(undisturbed.Fold(fold).Xx, moments.Fold(fold).Xx);
                    Assert.Equal(undisturbed.Fold(fold).Xy, moments.Fold(fold).Xy);
                    Assert.Equal(undisturbed.Fold(fold).Yy, moments.Fold(fold).Yy);
                    Assert.Equal(undisturbed.Fold(fold).SumX, moments.Fold(fold).SumX);
                    Assert.Equal(undisturbed.Fold(fold).OriginY, moments.Fold(fold).OriginY);
                }

                Assert.Equal(undisturbed.Control()?.Xy, moments.Control()?.Xy);
                Assert.Equal(undisturbed.Control()?.OriginX, moments.Control()?.OriginX);
                Assert.Equal(undisturbed.Sample.Layer(1).ToArray(), moments.Sample.Layer(1).ToArray());
            }, iter: 12, threads: 1);

    [Fact]
    public void A_full_sample_goes_on_replacing_the_same_rows()
    {
        var layout = MomentLayout.Pair(2, 1);
        var (whole, parts) = (new MomentAccumulator(layout, 3, false, sampleRows: 50), new MomentAccumulator(layout, 3, false, sampleRows: 50));
        var random = new Random(1);
        for (var i = 0; i < 20; i++)
        {
            var (x, y) = (Rows(random, 30, 2), Rows(random, 30, 1));
            whole.Add(2, x, y);
            parts.Add(2, x, y);
            parts = MomentFile.Load(new MemoryStream(Save(parts))).Moments;
        }

        Assert.Equal(50, parts.Sample.Rows);
        Assert.Equal(Save(whole), Save(parts));
    }

    [Fact]
    public void The_callers_texts_and_the_digest_come_back()
    {
        var moments = PairedRows.Affine(1, 5, 3, 9, 20, 1).Accumulate(3, shuffled: true);
        var job = new Dictionary<string, string> { ["documents"] = "9", ["source"] = "sha256:ä" };
        using var stream = new MemoryStream();
        var digest = MomentFile.Save(stream, moments, job);
        Assert.InRange(stream.Length, 1000, MomentFile.MostBytes(moments.Layout, 3, shuffled: true) + 8192);
        stream.Position = 0;
        var loaded = MomentFile.Load(stream);
        Assert.Equal(job, loaded.Job);
        Assert.Equal(digest, loaded.Digest);
        Assert.NotEqual(digest, MomentFile.Save(new MemoryStream(), moments, Nothing));
        Assert.Equal(digest, MomentFile.Save(new MemoryStream(), loaded.Moments, loaded.Job));
    }

    [Fact]
    public void What_has_no_rows_yet_is_saved_too()
    {
        var moments = new MomentAccumulator(MomentLayout.Grid([3, 4], [5]), 4, true, sampleRows: 7);
        var loaded = MomentFile.Load(new MemoryStream(Save(moments))).Moments;
        Assert.Equal((4, true, 7), (loaded.Folds, loaded.Shuffled, loaded.SampleRows));
        Assert.Equal(moments.Layout.Pairs, loaded.Layout.Pairs);
        loaded.Add(0, new float[3], new float[4], new float[5]);
        Assert.Equal(1, loaded.Rows);
    }

    [Fact]
    public void It_is_a_safetensors_file()
    {
        var path = Path.GetTempFileName();
        try
        {
            var moments = PairedRows.Affine(2, 5, 3, 9, 20, 1).Accumulate(3);
            File.WriteAllBytes(path, Save(moments));
            using var file = LrtMesh.Core.Models.SafetensorsFile.Open(path);
            using var scope = TorchSharp.torch.NewDisposeScope();
            var sums = file.Read("fold.0.sum.1", [1, 3], TorchSharp.torch.ScalarType.Float64);
            Assert.Equal(0, sums[0, 0].item<double>()); // its rows still wait
            Assert.Contains("fold.2.waiting", file.Tensors.Keys);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Any_damaged_byte_or_length_is_refused()
    {
        var bytes = Save(PairedRows.Affine(3, 4, 3, 9, 20, 1).Accumulate(3, shuffled: true));
        var random = new Random(4);
        for (var i = 0; i < 400; i++)
        {
            var damaged = (byte[])bytes.Clone();
            var at = i < 200 ? i * 8 : random.Next(bytes.Length); // header and elements
            damaged[at] ^= (byte)(1 << random.Next(8));
            Refused(damaged, $"byte {at}");
        }

        foreach (var length in new[] { 0, 5, 8, 300, bytes.Length - 1 })
        {
            Refused(bytes[..length], $"length {length}");
        }

        Refused([.. bytes, 0], "a byte more");

        static void Refused(byte[] damaged, string what)
        {
            var error = Record.Exception(() => MomentFile.Load(new MemoryStream(damaged)));
            Assert.True(error is LrtMeshException { Reason: ErrorReason.DataLoss or ErrorReason.ResourceExhausted }, $"{what}: {error}");
        }
    }

    [Fact]
    public void Two_workers_halves_give_the_map_of_the_whole()
    {
        var rows = PairedRows.Affine(5, 20, 10, 40, 60, 1);
        var halves = new[] { new MomentAccumulator(20, 10, 4, false), new MomentAccumulator(20, 10, 4, false) };
        for (var i = 0; i < 40; i++)
        {
            halves[i / 20].Add(i % 4, PairedRows.Flat(rows.Documents[i].X), PairedRows.Flat(rows.Documents[i].Y));
        }

        var sum = MomentFile.Load(new MemoryStream(Save(halves[0]))).Moments;
        sum.Add(MomentFile.Load(new MemoryStream(Save(halves[1]))).Moments);
        var (together, whole) = (LeastSquares.Fit(sum.Pair()), LeastSquares.Fit(rows.Accumulate(4).Pair()));
        Assert.Equal(whole.A, together.A, (a, b) => Math.Abs(a - b) < 1e-5);
        Assert.Equal(whole.R2, together.R2, 1e-6);
        Assert.Equal(whole.Rows, together.Rows);
    }

    private static byte[] Save(MomentAccumulator moments)
    {
        using var stream = new MemoryStream();
        MomentFile.Save(stream, moments, Nothing);
        return stream.ToArray();
    }

    private static float[] Rows(Random random, int rows, int width) =>
        [.. Enumerable.Range(0, rows * width).Select(i => (float)((random.NextDouble() - 0.3) * (1 + (i % width))))];
}

using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Core.Steering.Learning;
using LrtMesh.Extraction;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

public sealed class ExtractionTests(MeshFixture mesh) : MeshTests(mesh)
{
    // Padding and the number of rows change float32 products in their last bits.
    private const double Tolerance = 1e-4;

    [Fact]
    public async Task Rows_belong_to_their_texts_whatever_the_batches()
    {
        var texts = TinyCheckpoint.Texts(90);
        var spec = new ExtractionSpec { Model = "source", Layers = { 2, 0 }, AddSpecialTokens = true };
        var together = await Mesh.Extraction.ReadAsync(spec, [[.. texts.Take(1)], [.. texts.Skip(1).Take(70)], [.. texts.Skip(71)]], Ct);

        Assert.Equal(texts.Count, together.Count);
        for (var i = 0; i < texts.Count; i += 7)
        {
            var alone = Assert.Single(await Mesh.Extraction.ReadAsync(spec, [[texts[i]]], Ct));
            Assert.Equal(alone.TokenIds, together[i].TokenIds);
            Assert.Equal(alone.Spans, together[i].Spans);
            Assert.Equal((0u, 0u), alone.Spans[0]);
            Assert.Equal((uint)texts[i].Length, alone.Spans[^1].End);
            for (var layer = 0; layer < 2; layer++)
            {
                Assert.All(alone.Layers[layer].Zip(together[i].Layers[layer]), pair => Assert.Equal(pair.First, pair.Second, Tolerance));
            }
        }
    }

    [Fact]
    public async Task A_text_whose_rows_fit_no_buffer_is_refused_by_name()
    {
        const int Width = 256;
        var folder = Path.Combine(Mesh.Folder, "vast");
        TinyCheckpoint.Write(folder, Path.Combine(Mesh.Folder, "tokenizer"), Width, layers: 1, seed: 7, context: 1 << 21);
        await using var role = ExtractionRole.Build(new() { Redis = Mesh.Mesh.Store.Split(' ')[1], Models = [new("vast", folder)] });
        await role.StartAsync(Ct);
        CountTensors();
        using var channel = GrpcChannel.ForAddress(role.Address);
        var text = string.Concat(Enumerable.Repeat(" Q", (1 << 30) / sizeof(double) / Width + 1)); // two tokens each: 2 GiB of rows, and a little more
        var spec = new ExtractionSpec { Model = "vast", Layers = { 0 }, Dtype = Dtype.Float64 };
        var refused = await Assert.ThrowsAsync<RpcException>(() => new ExtractionService.ExtractionServiceClient(channel).ReadAsync(spec, [["The cat"], [text]], Ct));
        Assert.Equal(StatusCode.InvalidArgument, refused.StatusCode);
        Assert.Contains("batch.texts[0]: makes ", refused.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Layers_come_in_the_order_asked_for()
    {
        var both = Assert.Single(await Mesh.Extraction.ReadAsync(new() { Model = "source", Layers = { 2, 0 } }, [["The cat"]], Ct));
        var first = Assert.Single(await Mesh.Extraction.ReadAsync(new() { Model = "source", Layers = { 0 } }, [["The cat"]], Ct));

        Assert.Equal(first.Layers[0], both.Layers[1]);
        Assert.NotEqual(both.Layers[0], both.Layers[1]);
    }

    [Theory]
    [InlineData(Dtype.Float16, 1e-3)]
    [InlineData(Dtype.Bfloat16, 1e-2)]
    [InlineData(Dtype.Float64, 0)]
    public async Task Rows_come_in_the_type_asked_for(Dtype dtype, double relative)
    {
        var exact = Assert.Single(await Mesh.Extraction.ReadAsync(new() { Model = "source", Layers = { 1 } }, [["A dog ran"]], Ct)).Layers[0];
        var rounded = Assert.Single(await Mesh.Extraction.ReadAsync(new() { Model = "source", Layers = { 1 }, Dtype = dtype }, [["A dog ran"]], Ct)).Layers[0];

        Assert.All(exact.Zip(rounded), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, relative * Math.Abs(pair.First)));
        Assert.Equal(relative == 0, exact.AsSpan().SequenceEqual(rounded));
    }

    [Fact]
    public async Task A_long_text_is_cut_at_max_tokens()
    {
        var text = string.Concat(Enumerable.Repeat("The cat sat on the mat. ", 60));
        var cut = await Mesh.Extraction.ReadAsync(new() { Model = "source", Layers = { 0 }, MaxTokens = 5, AddSpecialTokens = true }, [[text]], Ct);
        var whole = await Mesh.Extraction.ReadAsync(new() { Model = "source", Layers = { 0 } }, [[text]], Ct);

        Assert.Equal(5, cut[0].TokenIds.Count);
        Assert.Equal(TinyCheckpoint.Context, whole[0].TokenIds.Count);
    }

    [Theory]
    [InlineData(LearnPosition.Unspecified)]
    [InlineData(LearnPosition.Mean)]
    public async Task A_learnt_vector_is_the_difference_of_means_of_the_states(LearnPosition position)
    {
        var pairs = Pairs(7).ToArray();
        var learnt = await Mesh.Extraction.LearnVectorAsync(
            new() { Name = $"learnt/{position}", Model = "source", Layers = { 1, 2 }, Pairs = { pairs }, Position = position }, cancellationToken: Ct);

        Assert.Equal([$"learnt/{position}@1", $"learnt/{position}@2"], learnt.Vectors.Select(vector => vector.Vector.Name));
        var got = await Mesh.Vectors.GetVectorAsync(new() { Name = $"learnt/{position}@2" }, cancellationToken: Ct);
        var info = learnt.Vectors[1].Vector;
        Assert.Equal(info, got.Vector);
        Assert.Equal((VectorMethod.DifferenceOfMeans, 7u), (info.Provenance.Method, info.Provenance.Pairs));
        Assert.StartsWith("sha256:", info.Provenance.DataDigest, StringComparison.Ordinal);

        var spec = new ExtractionSpec { Model = "source", Layers = { 2 }, AddSpecialTokens = true };
        var positive = await Mesh.Extraction.ReadAsync(spec, [[.. pairs.Select(pair => pair.Positive)]], Ct);
        var negative = await Mesh.Extraction.ReadAsync(spec, [[.. pairs.Select(pair => pair.Negative)]], Ct);
        var expected = Enumerable.Range(0, 16).Select(i => positive.Average(text => Stands(text, i, position)) - negative.Average(text => Stands(text, i, position)));
        var elements = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(got.Elements.Data.Span).ToArray();
        Assert.All(expected.Zip(elements), pair => Assert.Equal(pair.First, pair.Second, Tolerance));
    }

    [Theory]
    [InlineData(VectorMethod.DifferenceOfMeans, null)]
    [InlineData(VectorMethod.PcaOfDifferences, null)]
    [InlineData(VectorMethod.LogisticProbe, null)]
    [InlineData(VectorMethod.LogisticProbe, 0.5)]
    public async Task Vectors_of_several_layers_are_learnt_by_a_method_and_say_how_well_they_separate(VectorMethod method, double? lambda)
    {
        var pairs = Pairs(11).ToArray();
        var request = new LearnVectorRequest { Name = $"several/{method}{lambda}", Model = "source", Layers = { 2, 0, 1 }, Pairs = { pairs }, Method = method };
        if (lambda is { } given)
        {
            request.ProbeLambda = given;
        }

        var learnt = await Mesh.Extraction.LearnVectorAsync(request, cancellationToken: Ct);

        var spec = new ExtractionSpec { Model = "source", Layers = { 2, 0, 1 }, AddSpecialTokens = true };
        var read = await Mesh.Extraction.ReadAsync(spec, [[.. pairs.SelectMany(pair => new[] { pair.Positive, pair.Negative })]], Ct);
        for (var i = 0; i < 3; i++)
        {
            float[] states = [.. read.SelectMany(text => text.Layers[i][^16..])];
            var expected = LearntDirection.Learn(PairedStates.From(states, 16), [.. Enumerable.Range(0, 11).Select(pair => pair % 5)], method, lambda ?? 0.001, Ct);
            var stored = await Mesh.Vectors.GetVectorAsync(new() { Name = learnt.Vectors[i].Vector.Name }, cancellationToken: Ct);
            var elements = System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(stored.Elements.Data.Span).ToArray();
            Assert.All(expected.Elements.Zip(elements), pair => Assert.Equal(pair.First, pair.Second, 1e-3));

            var from = stored.Vector.Provenance;
            Assert.Equal(learnt.Vectors[i].Vector, stored.Vector);
            Assert.Equal((method, lambda ?? (method == VectorMethod.LogisticProbe ? 0.001 : 0), 11u), (from.Method, from.ProbeLambda, from.HeldOutPairs));
            Assert.Equal((learnt.Vectors[i].Auc, 11u), (from.Auc, learnt.Vectors[i].HeldOutPairs));
            Assert.Equal(expected.HeldOut.Auc, from.Auc, 0.02); // of 121 comparisons
            Assert.Equal(expected.HeldOut.Correlation, learnt.Vectors[i].Correlation, 1e-2);
        }

        var best = learnt.Vectors.OrderByDescending(vector => (vector.Auc, vector.Correlation)).First().Vector.Layer;
        Assert.Equal(best, learnt.RecommendedLayer);
    }

    // Row 0 is the special token, which is not part of the text.
    private static double Stands(ReadText text, int dimension, LearnPosition position) => position == LearnPosition.Mean
        ? Enumerable.Range(1, text.TokenIds.Count - 1).Average(row => (double)text.Layers[0][(row * 16) + dimension])
        : text.Layers[0][((text.TokenIds.Count - 1) * 16) + dimension];
}

using CsCheck;
using Google.Rpc;
using Grpc.Core;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>Which rows come: tokens, reductions, labels, credits.</summary>
public sealed class ExtractionRowTests(MeshFixture mesh) : MeshTests(mesh)
{
    // Padding and the number of rows change float32 products in their last bits.
    private const double Tolerance = 1e-4;
    private const string Text = "The cat sat on the mat and looked at the rain.";

    public static TheoryData<string, TokenSelection, int[]> Selections => new()
    {
        { "all", new TokenSelection { Rule = TokenRule.All }, [0, 1, 2, 3, 4, 5, 6, 7, 8] },
        { "not special", new TokenSelection { ExcludeSpecial = true }, [1, 2, 3, 4, 5, 6, 7, 8] },
        { "last", new TokenSelection { Rule = TokenRule.Last }, [8] },
        { "indices", new TokenSelection { Rule = TokenRule.Indices, Indices = { 5, -1, 0, 8 } }, [0, 5, 8] },
        { "indices, not special", new TokenSelection { Rule = TokenRule.Indices, Indices = { 0, 3 }, ExcludeSpecial = true }, [3] },
        { "ranges", new TokenSelection { Rule = TokenRule.Ranges, Ranges = { new TokenRange { Start = 6 }, new TokenRange { Start = 0, End = 2 } } }, [0, 1, 6, 7, 8] },
        { "range beyond the end", new TokenSelection { Rule = TokenRule.Ranges, Ranges = { new TokenRange { Start = 7, End = 99 } } }, [7, 8] },
    };

    [Theory]
    [MemberData(nameof(Selections))]
    public async Task The_tokens_asked_for_come_with_their_labels(string name, TokenSelection tokens, int[] positions)
    {
        Assert.NotEmpty(name);
        var spec = new ExtractionSpec { Model = "source", Layers = { 2, 0 }, AddSpecialTokens = true, MaxTokens = 9 };
        var all = await Mesh.Extraction.ReadRowsAsync(spec, [new TextBatch { Texts = { Text } }], Ct);
        Assert.Equal(9, all.Count);
        spec.Tokens = tokens;
        var chosen = await Mesh.Extraction.ReadRowsAsync(spec, [new TextBatch { Texts = { Text } }], Ct);

        Assert.Equal(positions, chosen.Select(row => (int)row.Position));
        Assert.All(chosen, row => AssertSame(all[(int)row.Position], row));
    }

    [Fact]
    public async Task Reductions_are_means_over_the_tokens_that_count()
    {
        var spec = new ExtractionSpec { Model = "source", Layers = { 1, 2 }, AddSpecialTokens = true };
        var all = await Mesh.Extraction.ReadRowsAsync(spec, [new TextBatch { Texts = { Text } }], Ct);
        spec.Tokens = new TokenSelection { ExcludeSpecial = true };

        var mean = Assert.Single(await ReducedAsync(Reduction.Mean));
        AssertMean(all.Skip(1), mean);
        Assert.Equal((1u, (uint)all.Count, (0u, (uint)Text.Length)), (mean.Position, mean.PositionEnd, mean.Characters));
        AssertSame(all[^1], Assert.Single(await ReducedAsync(Reduction.Last)));

        var words = await ReducedAsync(Reduction.MeanOfCharSpans, (4, 7), (8, 15), (0, 300));
        Assert.Equal([0u, 1u, 2u], words.Select(row => row.Span));
        AssertMean(all.Where(row => row.Characters.Start < 7 && row.Characters.End > 4), words[0]);
        AssertMean(all.Where(row => row.Characters.Start < 15 && row.Characters.End > 8), words[1]);
        AssertMean(all.Skip(1), words[2]);
        Assert.True(words[0].Characters is { Start: <= 4, End: >= 7 });

        var tokens = await ReducedAsync(Reduction.MeanOfTokenSpans, (3, 6), (0, 2));
        AssertMean(all.Skip(3).Take(3), tokens[0]);
        AssertMean(all.Skip(1).Take(1), tokens[1]); // position 0 is special
        Assert.Equal((3u, 6u, all[5].TokenId), (tokens[0].Position, tokens[0].PositionEnd, tokens[0].TokenId));

        Task<IReadOnlyList<StateRow>> ReducedAsync(Reduction reduction, params (uint Start, uint End)[] spans)
        {
            spec.Reduction = reduction;
            var batch = new TextBatch { Texts = { Text } };
            if (spans.Length > 0)
            {
                batch.Spans.Add(new TextSpans { Spans = { spans.Select(span => new Span { Start = span.Start, End = span.End }) } });
            }

            return Mesh.Extraction.ReadRowsAsync(spec, [batch], Ct);
        }
    }

    [Fact]
    public async Task A_text_without_a_token_that_counts_is_refused()
    {
        var spec = new ExtractionSpec { Model = "source", Layers = { 1 }, AddSpecialTokens = true, MaxTokens = 1, Tokens = new() { ExcludeSpecial = true } };
        var error = await Assert.ThrowsAnyAsync<RpcException>(() => Mesh.Extraction.ReadRowsAsync(spec, [new TextBatch { Texts = { Text } }], Ct));

        Assert.Equal("batch.texts[0]", error.GetRpcStatus()!.GetDetail<Google.Rpc.BadRequest>().FieldViolations[0].Field);
    }

    [Fact]
    public async Task The_layer_of_each_tensor_is_said()
    {
        using var call = Mesh.Extraction.ExtractHiddenStates(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(new() { Spec = new ExtractionSpec { Model = "source", Layers = { 2, 0 } } }, Ct);
        await call.RequestStream.WriteAsync(new() { Batch = new TextBatch { Texts = { "The" } } }, Ct);
        await call.ResponseStream.MoveNext(Ct);
        await call.ResponseStream.MoveNext(Ct);

        Assert.Equal([2u, 0u], call.ResponseStream.Current.Rows.Layer);
    }

    [Fact]
    public async Task Rows_are_those_of_their_text_read_alone_whatever_is_read_with_it()
    {
        var text = Gen.Select(Gen.Int[0, 63], Gen.Int[1, 90], (start, length) => Cut(string.Join(' ', TinyCheckpoint.Texts(66).Skip(start).Take(3)), length));
        var reductions = new[] { Reduction.None, Reduction.Mean, Reduction.Last };
        var request = Gen.Select(text.Array[1, 12].Array[1, 3], Gen.Shuffle(new uint[] { 0, 1, 2 }), Gen.Bool, Gen.Int[0, 2].Select(i => reductions[i]), Gen.Bool);
        await request.Array[8, 16].SampleAsync(
            async requests =>
            {
                var answers = await Task.WhenAll(requests.Select(async of =>
                {
                    var (batches, layers, special, reduction, credit) = of;
                    var spec = new ExtractionSpec { Model = "source", Layers = { layers[..2] }, AddSpecialTokens = special, Reduction = reduction };
                    var together = spec.Clone();
                    together.CreditBytes = credit ? 100_000_000UL : 0;
                    return (Spec: spec, Texts: batches.SelectMany(batch => batch).ToArray(), Rows: await Mesh.Extraction.ReadRowsAsync(together, batches.Select(batch => new TextBatch { Texts = { batch } }), Ct));
                }));
                foreach (var (spec, texts, rows) in answers)
                {
                    Assert.Equal(Enumerable.Range(0, texts.Length), rows.Select(row => (int)row.Sequence).Distinct());
                    for (var i = texts.Length - 1; i >= 0; i -= 5)
                    {
                        var alone = await Mesh.Extraction.ReadRowsAsync(spec, [new TextBatch { Texts = { texts[i] } }], Ct);
                        var among = rows.Where(row => row.Sequence == i).ToArray();
                        Assert.Equal(alone.Count, among.Length);
                        Assert.All(alone.Zip(among), pair => AssertSame(pair.First, pair.Second with { Sequence = 0 }));
                    }
                }
            },
            iter: 6, threads: 1);
    }

    [Fact]
    public async Task No_more_comes_than_credit_is_granted()
    {
        const int Bytes = 3 * 2 * 16 * sizeof(float); // 3 tokens, 2 layers of width 16
        using var call = Mesh.Extraction.ExtractHiddenStates(cancellationToken: Ct);
        var spec = new ExtractionSpec { Model = "source", Layers = { 1, 2 }, MaxTokens = 3, CreditBytes = 100 };
        await call.RequestStream.WriteAsync(new() { Spec = spec }, Ct);
        await call.RequestStream.WriteAsync(new() { Batch = new TextBatch { Texts = { Text } } }, Ct);
        await call.ResponseStream.MoveNext(Ct);
        await call.ResponseStream.MoveNext(Ct);
        var assembler = new LrtMesh.Core.Tensors.TensorAssembler(call.ResponseStream.Current.Rows.Layers, "layers", 1 << 20);
        var received = 0;
        foreach (var granted in new[] { 0, 7, 1, Bytes - 108 })
        {
            if (granted > 0)
            {
                await call.RequestStream.WriteAsync(new() { Credit = new Credit { Bytes = (ulong)granted } }, Ct);
            }

            var due = received + granted + (granted == 0 ? 100 : 0);
            while (received < due)
            {
                Assert.True(await call.ResponseStream.MoveNext(Ct));
                assembler.Add(call.ResponseStream.Current.Chunk, "chunk");
                received += call.ResponseStream.Current.Chunk.Data.Length;
            }

            Assert.Equal(due, received);
        }

        Assert.True(assembler.IsComplete);
        var next = call.ResponseStream.MoveNext(Ct);
        await call.RequestStream.WriteAsync(new() { Batch = new TextBatch { Texts = { Text } } }, Ct);
        Assert.True(await next); // labels need no credit
        next = call.ResponseStream.MoveNext(Ct);
        await Task.Delay(200, Ct);
        Assert.False(next.IsCompleted);
        await call.RequestStream.WriteAsync(new() { Credit = new Credit { Bytes = Bytes } }, Ct);
        Assert.True(await next);
        await call.RequestStream.CompleteAsync();
        while (await call.ResponseStream.MoveNext(Ct))
        {
        }
    }

    [Fact]
    public async Task A_client_that_grants_credit_may_not_send_batches_without_end()
    {
        using var call = Mesh.Extraction.ExtractHiddenStates(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(new() { Spec = new ExtractionSpec { Model = "source", Layers = { 1 }, CreditBytes = 1 } }, Ct);
        var error = await Assert.ThrowsAnyAsync<RpcException>(async () =>
        {
            for (var i = 0; i < 40; i++)
            {
                await call.RequestStream.WriteAsync(new() { Batch = new TextBatch { Texts = { Text } } }, Ct);
            }

            while (await call.ResponseStream.MoveNext(Ct))
            {
            }
        });

        Assert.Equal(StatusCode.ResourceExhausted, error.StatusCode);
    }

    private static string Cut(string text, int length) => text[..Math.Min(text.Length, length)];

    private static void AssertSame(StateRow expected, StateRow row)
    {
        Assert.Equal(expected with { Layers = [] }, row with { Layers = [] });
        Assert.All(expected.Layers.Zip(row.Layers), layers => Assert.All(layers.First.Zip(layers.Second), pair => Assert.Equal(pair.First, pair.Second, Tolerance)));
    }

    private static void AssertMean(IEnumerable<StateRow> of, StateRow row)
    {
        var rows = of.ToArray();
        for (var layer = 0; layer < row.Layers.Count; layer++)
        {
            Assert.All(row.Layers[layer], (element, i) => Assert.Equal(rows.Average(each => (double)each.Layers[layer][i]), element, Tolerance));
        }
    }
}

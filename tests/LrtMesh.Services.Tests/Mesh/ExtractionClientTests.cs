using LrtMesh.Client;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>The C# client's stream of hidden states against a server.</summary>
public sealed class ExtractionClientTests(MeshFixture mesh) : MeshTests(mesh)
{
    private static ExtractionSpec Spec => new() { Model = "source", Layers = { 2, 0 }, AddSpecialTokens = true };

    [Theory]
    [InlineData(1)] // a byte at a time
    [InlineData(1000)] // less than a block
    [InlineData(1 << 20)]
    public async Task A_stream_held_to_a_credit_brings_the_same_rows(int credit)
    {
        // More batches than may wait for an answer.
        TextBatch[] batches = [.. TinyCheckpoint.Texts(credit == 1 ? 2 : 120).Chunk(credit == 1 ? 1 : 3).Select(texts => new TextBatch { Texts = { texts } })];
        var free = await ReadAsync(Spec, batches);
        var spec = Spec;
        spec.CreditBytes = (ulong)credit;
        var held = await ReadAsync(spec, batches);

        Assert.Equal(free.SelectMany(block => block.Labels.Sequence), held.SelectMany(block => block.Labels.Sequence));
        Assert.Equal(free.SelectMany(block => block.Labels.TokenId), held.SelectMany(block => block.Labels.TokenId));
        for (var layer = 0; layer < 2; layer++)
        {
            Assert.All(
                free.SelectMany(block => block.Layers[layer]).Zip(held.SelectMany(block => block.Layers[layer])), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4096)]
    public async Task What_the_source_of_texts_throws_is_what_the_reader_gets(int credit)
    {
        static IEnumerable<TextBatch> Batches()
        {
            yield return new TextBatch { Texts = { "The cat" } };
            throw new InvalidOperationException("line 2 is no text");
        }

        var spec = Spec;
        spec.CreditBytes = (ulong)credit;
        var error = await Assert.ThrowsAsync<InvalidOperationException>(() => ReadAsync(spec, Batches()));

        Assert.Equal("line 2 is no text", error.Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4096)]
    public async Task A_loop_that_is_left_early_ends_the_call(int credit)
    {
        var spec = Spec;
        spec.CreditBytes = (ulong)credit;
        var sent = 0;
        IEnumerable<TextBatch> Endless()
        {
            while (true)
            {
                sent++;
                yield return new TextBatch { Texts = { "The cat sat on the mat." } };
            }
        }

        await foreach (var block in Mesh.Extraction.ReadHiddenStatesAsync(spec, Endless(), cancellation: Ct))
        {
            Assert.Equal(0u, block.Labels.Sequence[0]);
            break;
        }

        var left = sent;
        await Task.Delay(100, Ct);
        Assert.Equal(left, sent);
    }

    private async Task<List<HiddenStates>> ReadAsync(ExtractionSpec spec, IEnumerable<TextBatch> batches)
    {
        var blocks = new List<HiddenStates>();
        await foreach (var block in Mesh.Extraction.ReadHiddenStatesAsync(spec, batches, TimeSpan.FromMinutes(1), Ct))
        {
            blocks.Add(block);
        }

        return blocks;
    }
}

using Grpc.Core;
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

    [Theory]
    [InlineData(0)]
    [InlineData(4096)]
    public async Task A_connection_lost_amid_a_write_is_what_the_reading_side_says(int credit)
    {
        var spec = Spec;
        spec.CreditBytes = (ulong)credit;
        var client = new ExtractionService.ExtractionServiceClient(new LostConnection());
        var reading = client.ReadHiddenStatesAsync(spec, [new TextBatch { Texts = { "The cat" } }], cancellation: Ct).GetAsyncEnumerator(Ct);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await reading.MoveNextAsync());
        await reading.DisposeAsync();

        Assert.Equal(StatusCode.Unavailable, error.StatusCode);
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

    /// <summary>Calls as they end where a server is killed: a write throws what .NET throws.</summary>
    private sealed class LostConnection : CallInvoker
    {
        public override AsyncDuplexStreamingCall<TRequest, TResponse> AsyncDuplexStreamingCall<TRequest, TResponse>(Method<TRequest, TResponse> method, string? host, CallOptions options) =>
            new(new Lost<TRequest>(), new Lost<TResponse>(), Task.FromResult(new Metadata()), () => new(StatusCode.Unavailable, ""), () => [], () => { });

        public override TResponse BlockingUnaryCall<TRequest, TResponse>(Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request) =>
            throw new NotSupportedException();

        public override AsyncUnaryCall<TResponse> AsyncUnaryCall<TRequest, TResponse>(Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request) =>
            throw new NotSupportedException();

        public override AsyncServerStreamingCall<TResponse> AsyncServerStreamingCall<TRequest, TResponse>(
            Method<TRequest, TResponse> method, string? host, CallOptions options, TRequest request) => throw new NotSupportedException();

        public override AsyncClientStreamingCall<TRequest, TResponse> AsyncClientStreamingCall<TRequest, TResponse>(Method<TRequest, TResponse> method, string? host, CallOptions options) =>
            throw new NotSupportedException();

        private sealed class Lost<T> : IClientStreamWriter<T>, IAsyncStreamReader<T>
        {
            public WriteOptions? WriteOptions { get; set; }

            public T Current => throw new InvalidOperationException();

            public Task WriteAsync(T message) => WriteAsync(message, CancellationToken.None);

            public Task WriteAsync(T message, CancellationToken cancellationToken) => throw new IOException("The request was aborted.");

            public Task CompleteAsync() => throw new IOException("The request was aborted.");

            public async Task<bool> MoveNext(CancellationToken cancellationToken)
            {
                await Task.Delay(10, cancellationToken);
                throw new RpcException(new(StatusCode.Unavailable, "the connection was lost"));
            }
        }
    }
}

using System.Runtime.ExceptionServices;
using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Part = LrtMesh.V1.ExtractHiddenStatesResponse.PartOneofCase;

namespace LrtMesh.Mapping;

/// <summary>One model's hidden states of one text or chat.</summary>
/// <param name="TokenIds">Its tokens; token i is at position i.</param>
/// <param name="Starts">First character that each token covers.</param>
/// <param name="Ends">One past the last; equal to the first for a token that was added around the text.</param>
/// <param name="Layers">Of each layer, in the order asked for, [tokens, width].</param>
/// <param name="Contents">Of a chat, where the contents of its messages lie; null for a text.</param>
internal sealed record TextStates(uint[] TokenIds, uint[] Starts, uint[] Ends, IReadOnlyList<ReadOnlyMemory<float>> Layers, IReadOnlyList<MessageContent>? Contents)
{
    /// <summary>Whether a token covers characters.</summary>
    public bool IsText(int token) => Ends[token] > Starts[token];
}

/// <summary>Hidden states of texts at some layers, streamed from an endpoint: a batch is answered before the next is sent.</summary>
internal sealed class StateStream : IDisposable
{
    private readonly LocatedModel _end;
    private readonly AsyncDuplexStreamingCall<ExtractHiddenStatesRequest, Received> _call;
    private readonly int _layers;
    private readonly CancellationToken _cancellation;
    private uint _sequence;
    private TensorAssembler? _assembler; // of the block that is read

    private StateStream(LocatedModel end, int layers, CancellationToken cancellation)
    {
        _end = end;
        _layers = layers;
        _call = end.Client.ExtractHiddenStates(Receive, new CallOptions(cancellationToken: cancellation));
        _cancellation = cancellation;
    }

    /// <summary>Opens a stream. Texts are read with special tokens, as in generation.</summary>
    /// <exception cref="LrtMeshException">The endpoint refuses, or now holds another model of that name.</exception>
    public static async Task<StateStream> OpenAsync(LocatedModel end, IReadOnlyList<uint> layers, CancellationToken cancellation)
    {
        var stream = new StateStream(end, layers.Count, cancellation);
        try
        {
            await stream.SendAsync(new() { Spec = new ExtractionSpec { Model = end.Model.Name, Layers = { layers }, AddSpecialTokens = true } });
            var started = (await stream.NextAsync(Part.Started)).Started;
            return started.ModelDigest == end.Model.Digest
                ? stream
                : throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{end.Model.Name} was replaced while the job started; create it again");
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>Reads documents, either all texts or all chats.</summary>
    /// <returns>One entry a document, in order.</returns>
    /// <exception cref="LrtMeshException">The endpoint fails or sends what it should not.</exception>
    public async Task<IReadOnlyList<TextStates>> ReadAsync(IReadOnlyList<Document> documents)
    {
        var batch = new TextBatch();
        batch.Texts.AddRange(documents.Where(document => document.Chat is null).Select(document => document.Text));
        batch.Chats.AddRange(documents.Select(document => document.Chat).OfType<Chat>());
        await SendAsync(new() { Batch = batch });
        var states = new List<TextStates>(documents.Count);
        while (states.Count < documents.Count)
        {
            states.AddRange(await ReadBlockAsync(chats: batch.Chats.Count > 0));
        }

        return states;
    }

    /// <inheritdoc/>
    public void Dispose() => _call.Dispose();

    /// <summary>A block holds whole texts.</summary>
    private async Task<IReadOnlyList<TextStates>> ReadBlockAsync(bool chats)
    {
        var block = (await NextAsync(Part.Rows)).Rows;
        var width = (int)_end.Model.Width;
        var rows = block.Sequence.Count;
        if (block.Layers.Count != _layers || block.Position.Count != rows || block.TokenId.Count != rows || block.CharStart.Count != rows || block.CharEnd.Count != rows)
        {
            throw Unexpected($"a block of {rows} rows whose labels or layers do not fit");
        }

        foreach (var header in block.Layers)
        {
            TensorCodec.CheckRows(header, width, "rows.layers");
        }

        _assembler = new TensorAssembler(block.Layers, "rows.layers", (long)rows * width * _layers);
        while (!_assembler.IsComplete)
        {
            await NextAsync(Part.Chunk);
        }

        var values = Enumerable.Range(0, _layers).Select(layer => _assembler.Tensor(layer, "chunk")).ToArray();
        if (values.FirstOrDefault(v => v.Length != rows * width) is { } wrong)
        {
            throw Unexpected($"{wrong.Length} elements for {rows} rows of width {width}");
        }

        var contents = block.Contents.ToLookup(content => content.Sequence);
        var texts = new List<TextStates>();
        for (var start = 0; start < rows;)
        {
            var end = start;
            while (end < rows && block.Sequence[end] == _sequence && block.Position[end] == end - start)
            {
                end++;
            }

            if (end == start)
            {
                throw Unexpected($"row {block.Position[start]} of text {block.Sequence[start]} where text {_sequence} begins");
            }

            texts.Add(new TextStates(
                [.. block.TokenId.Skip(start).Take(end - start)],
                [.. block.CharStart.Skip(start).Take(end - start)],
                [.. block.CharEnd.Skip(start).Take(end - start)],
                [.. values.Select(layer => (ReadOnlyMemory<float>)layer.AsMemory(start * width, (end - start) * width))],
                chats ? [.. contents[_sequence]] : null));
            _sequence++;
            start = end;
        }

        return texts;
    }

    private async Task SendAsync(ExtractHiddenStatesRequest request)
    {
        try
        {
            await _call.RequestStream.WriteAsync(request, _cancellation);
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException or IOException)
        {
            _cancellation.ThrowIfCancellationRequested();
            await NextAsync(Part.None); // the reading side knows why the call ended
            throw;
        }
    }

    /// <summary>Takes a message where it was received: a chunk of the block that is read is put in its place.</summary>
    private Received Receive(ExtractHiddenStatesResponse response)
    {
        try
        {
            if (response.PartCase == Part.Chunk && _assembler is { IsComplete: false })
            {
                _assembler.Add(response.Chunk, "chunk");
            }

            return new(response, null);
        }
        catch (LrtMeshException e)
        {
            return new(response, ExceptionDispatchInfo.Capture(e));
        }
    }

    /// <summary>The next message. Of a chunk the bytes are gone: see <see cref="Receive"/>.</summary>
    private async Task<ExtractHiddenStatesResponse> NextAsync(Part expected)
    {
        try
        {
            if (!await _call.ResponseStream.MoveNext(_cancellation))
            {
                throw Unexpected("the end of the stream");
            }
        }
        catch (RpcException e)
        {
            _cancellation.ThrowIfCancellationRequested();
            throw new LrtMeshException(
                e.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded ? ErrorReason.Unavailable : ErrorReason.FailedPrecondition,
                $"reading {_end.Model.Name}: {e.StatusCode}: {e.Status.Detail}",
                e);
        }

        var (response, failure) = _call.ResponseStream.Current;
        failure?.Throw();
        return response.PartCase == expected ? response : throw Unexpected($"{response.PartCase} instead of {expected}");
    }

    private LrtMeshException Unexpected(string what) =>
        new(ErrorReason.DataLoss, $"the endpoint of {_end.Model.Name} sent {what}");

    private sealed record Received(ExtractHiddenStatesResponse Response, ExceptionDispatchInfo? Failure);
}

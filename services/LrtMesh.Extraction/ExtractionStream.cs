using System.Buffers;
using System.Threading.Channels;
using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Tensors;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.V1;
using Part = LrtMesh.V1.ExtractHiddenStatesRequest.PartOneofCase;

namespace LrtMesh.Extraction;

/// <summary>
/// One stream of hidden states. Three things go on at once: batches and credits are received, the model reads texts, and the rows of the
/// texts before are sent.
/// </summary>
internal sealed class ExtractionStream
{
    private const int MaxWaiting = 16; // batches, on a stream with credits
    private const int ReadAhead = 2; // batches, on one without
    private const int BlockRows = 1024; // rows of one block, unless a single text has more
    private const int HeldBytes = 16 << 20; // rows that are read before they are sent, unless a single text has more; twice that is held

    private readonly ExtractionPlan _plan;
    private readonly IAsyncStreamReader<ExtractHiddenStatesRequest> _requests;
    private readonly IServerStreamWriter<ExtractHiddenStatesResponse> _responses;
    private readonly ByteCredit _credit;
    private readonly TenantUse _use;
    private readonly Channel<PlannedText[]> _batches;

    private ExtractionStream(
        ExtractionPlan plan, ByteCredit credit, IAsyncStreamReader<ExtractHiddenStatesRequest> requests, IServerStreamWriter<ExtractHiddenStatesResponse> responses, TenantUse use)
    {
        _plan = plan;
        _credit = credit;
        _requests = requests;
        _responses = responses;
        _use = use;
        _batches = Channel.CreateBounded<PlannedText[]>(new BoundedChannelOptions(credit.IsUsed ? MaxWaiting : ReadAhead) { SingleReader = true, SingleWriter = true });
    }

    /// <summary>Answers a stream: takes the spec, says who reads, and answers each batch.</summary>
    /// <exception cref="LrtMeshException">NotFound: the model; InvalidArgument or OutOfRange, naming every wrong field.</exception>
    public static async Task RunAsync(
        ModelRegistry models,
        IAsyncStreamReader<ExtractHiddenStatesRequest> requests,
        IServerStreamWriter<ExtractHiddenStatesResponse> responses,
        TenantUse use,
        CancellationToken cancellation)
    {
        if (!await requests.MoveNext(cancellation) || requests.Current.PartCase != Part.Spec)
        {
            throw LrtMeshException.Invalid("spec", "must be the first message of the stream");
        }

        var spec = requests.Current.Spec;
        using var lent = models.Lend(spec.Model, "spec.model");
        var plan = ExtractionPlan.From(spec, lent.Model, models.MaxBatch);
        var description = plan.Model.Description;
        await responses.WriteAsync(
            new ExtractHiddenStatesResponse
            {
                Started = new ExtractionStarted { ModelDigest = description.Digest, Width = description.Width, TokenizerDigest = description.TokenizerDigest },
            },
            cancellation);

        var stream = new ExtractionStream(plan, new ByteCredit(spec.CreditBytes), requests, responses, use);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var receiving = Task.Run(() => stream.ReceiveAsync(stop.Token), CancellationToken.None); // texts that are here already are split while the first are read
        try
        {
            await stream.AnswerAsync(stop);
        }
        finally
        {
            await stop.CancelAsync();
            await receiving;
        }
    }

    /// <summary>Takes messages until the client has sent all; what is wrong with one is told once the batches before it are answered.</summary>
    private async Task ReceiveAsync(CancellationToken cancellation)
    {
        try
        {
            var sequence = 0;
            while (await _requests.MoveNext(cancellation))
            {
                switch (_requests.Current.PartCase)
                {
                    case Part.Batch:
                        var texts = _plan.Split(_requests.Current.Batch, sequence);
                        sequence += texts.Length;
                        if (!_credit.IsUsed)
                        {
                            await _batches.Writer.WriteAsync(texts, cancellation);
                        }
                        else if (!_batches.Writer.TryWrite(texts))
                        {
                            // It cannot wait here: the credit that the batches before wait for may come next.
                            throw new LrtMeshException(ErrorReason.ResourceExhausted, [new Violation("batch", $"is one too many: {MaxWaiting} wait to be answered, and more may come only then")]);
                        }

                        break;
                    case Part.Credit:
                        var bytes = _requests.Current.Credit.Bytes;
                        if (!_credit.IsUsed)
                        {
                            throw LrtMeshException.Invalid("credit", "must not come where spec.credit_bytes is 0");
                        }

                        _credit.Grant(bytes > 0 ? bytes : throw LrtMeshException.Invalid("credit.bytes", "must be at least 1"));
                        break;
                    default:
                        throw LrtMeshException.Invalid("batch", "or credit must be every message after the first");
                }
            }

            _batches.Writer.Complete();
            _credit.End(LrtMeshException.Invalid("credit", "is used up, and the client has closed its side of the stream"));
        }
        catch (Exception e)
        {
            _batches.Writer.Complete(e);
            _credit.End(e);
        }
    }

    /// <summary>Reads each batch in runs of texts; the rows of a run are sent while the next is read.</summary>
    private async Task AnswerAsync(CancellationTokenSource stop)
    {
        var sending = Task.CompletedTask;
        var mostRows = HeldBytes / _plan.RowBytes / _plan.Layers.Length;
        try
        {
            await foreach (var batch in _batches.Reader.ReadAllAsync(stop.Token))
            {
                await _use.UseTokensInTimeAsync(batch.Sum(text => text.Tokens.Length), stop.Token);
                foreach (var run in Runs(batch, mostRows))
                {
                    var read = await ReadAsync(batch[run], stop.Token);
                    await sending;
                    sending = Task.Run(() => SendAsync(batch[run], read, stop.Token), CancellationToken.None); // the next run is read at once
                }
            }
        }
        catch (LrtMeshException) when (!_credit.IsUsed)
        {
            await sending; // what was right is answered before what was wrong is told
            throw;
        }
        catch
        {
            // What is sent may wait for credit that does not come.
            await stop.CancelAsync();
            await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            throw;
        }

        await sending;
    }

    /// <summary>The rows of some texts, one buffer a layer, from the pool: [rows, width].</summary>
    private async Task<byte[][]> ReadAsync(PlannedText[] texts, CancellationToken cancellation)
    {
        var starts = new int[texts.Length];
        var rows = 0;
        for (var i = 0; i < texts.Length; i++)
        {
            starts[i] = rows;
            rows += texts[i].Rows.Count;
        }

        var buffers = _plan.Layers.Select(_ => ArrayPool<byte>.Shared.Rent(checked(rows * _plan.RowBytes))).ToArray();
        try
        {
            await _plan.Model.ReadStatesAsync(
                [.. texts.Select(text => Array.ConvertAll(text.Tokens, token => token.Id))],
                _plan.Layers,
                (text, layer, states) => texts[text].Rows.Write(
                    states, _plan.Width, _plan.Dtype, buffers[layer].AsSpan(starts[text] * _plan.RowBytes, texts[text].Rows.Count * _plan.RowBytes)),
                cancellation);
            return buffers;
        }
        catch
        {
            Return(buffers);
            throw;
        }
    }

    private static void Return(byte[][] buffers) => Array.ForEach(buffers, buffer => ArrayPool<byte>.Shared.Return(buffer));

    /// <summary>Sends the rows of some texts in blocks of whole texts, and gives the buffers back.</summary>
    private async Task SendAsync(PlannedText[] texts, byte[][] buffers, CancellationToken cancellation)
    {
        try
        {
            var start = 0;
            foreach (var run in Runs(texts, BlockRows))
            {
                var block = texts[run];
                var rows = block.Sum(text => text.Rows.Count);
                await _responses.WriteAsync(new ExtractHiddenStatesResponse { Rows = Labels(block, rows) }, cancellation);
                for (var layer = 0; layer < buffers.Length; layer++)
                {
                    await SendAsync(layer, buffers[layer].AsMemory(start * _plan.RowBytes, rows * _plan.RowBytes), cancellation);
                }

                start += rows;
            }
        }
        finally
        {
            Return(buffers);
        }
    }

    /// <summary>Sends a tensor in chunks, each no larger than the credit; a chunk is serialized from where it lies before the next is cut.</summary>
    private async Task SendAsync(int tensor, ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        for (var offset = 0; offset < bytes.Length;)
        {
            var length = await _credit.TakeAsync(Math.Min(TensorChunks.MaximumBytes, bytes.Length - offset), cancellation);
            await _responses.WriteAsync(new ExtractHiddenStatesResponse { Chunk = TensorChunks.Of(tensor, bytes.Slice(offset, length), offset) }, cancellation);
            offset += length;
        }
    }

    private RowBlock Labels(PlannedText[] texts, int rows)
    {
        var block = new RowBlock { Layer = { _plan.Layers.Select(layer => (uint)layer) } };
        block.Layers.AddRange(_plan.Layers.Select(_ => TensorCodec.Header(_plan.Dtype, rows, _plan.Width)));
        foreach (var text in texts)
        {
            block.Contents.AddRange(text.Contents.Select(content => new MessageContent
            {
                Sequence = (uint)text.Sequence, Message = (uint)content.Message, Start = (uint)content.Start, End = (uint)content.End,
            }));
            for (var row = 0; row < text.Rows.Count; row++)
            {
                var tokens = text.Rows.Of(row);
                TextToken first = text.Tokens[tokens[0]], last = text.Tokens[tokens[^1]];
                block.Sequence.Add((uint)text.Sequence);
                block.Position.Add((uint)tokens[0]);
                block.TokenId.Add((uint)last.Id);
                block.CharStart.Add((uint)first.Start);
                block.CharEnd.Add((uint)last.End);
                if (_plan.Choice.ByMean)
                {
                    block.PositionEnd.Add((uint)tokens[^1] + 1);
                }

                if (_plan.Choice.BySpan)
                {
                    block.Span.Add((uint)row);
                }
            }
        }

        return block;
    }

    /// <summary>Ranges of neighbouring texts with at most so many rows together, or of one text that has more.</summary>
    private static IEnumerable<Range> Runs(PlannedText[] texts, int rows)
    {
        var start = 0;
        var count = 0;
        for (var i = 0; i < texts.Length; i++)
        {
            if (i > start && count + texts[i].Rows.Count > rows)
            {
                yield return start..i;
                (start, count) = (i, 0);
            }

            count += texts[i].Rows.Count;
        }

        yield return start..texts.Length;
    }
}

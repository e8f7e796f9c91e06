using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Grpc.Core;
using LrtMesh.V1;

namespace LrtMesh.Client;

/// <summary>The two-way stream of hidden states as one loop.</summary>
public static class ExtractionCalls
{
    /// <summary>
    /// Streams hidden states of batches, in order; the next batches are sent while blocks come. Where the spec has <c>credit_bytes</c>, what was read is
    /// granted again, so that no more than these are ever on their way.
    /// </summary>
    /// <param name="client">Of the role that holds the model.</param>
    /// <param name="spec">What to extract.</param>
    /// <param name="batches">Texts or chats, with their spans where the spec's reduction is by span.</param>
    /// <param name="timeout">How long the whole may take; null: any time.</param>
    /// <param name="cancellation">Ends it, as leaving the loop does.</param>
    /// <exception cref="RpcException">The call failed; <see cref="CallError"/> takes it apart.</exception>
    /// <exception cref="BrokenTensorException">What came is not what was announced.</exception>
    public static async IAsyncEnumerable<HiddenStates> ReadHiddenStatesAsync(
        this ExtractionService.ExtractionServiceClient client,
        ExtractionSpec spec,
        IEnumerable<TextBatch> batches,
        TimeSpan? timeout = null,
        [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(client);
        ArgumentNullException.ThrowIfNull(spec);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using var reader = new HiddenStateReader(spec);
        using var call = client.ExtractHiddenStates(reader.Read, new CallOptions(deadline: timeout is { } t ? DateTime.UtcNow + t : null, cancellationToken: stop.Token));
        using var sender = new BatchSender(call.RequestStream, spec, stop);
        var sending = sender.SendAsync(batches);
        try
        {
            while (await NextAsync(call.ResponseStream, sender, stop.Token).ConfigureAwait(false) is { } part)
            {
                part.Failure?.Throw();
                if (part.TensorBytes > 0)
                {
                    await sender.GrantAsync(part.TensorBytes).ConfigureAwait(false);
                }

                if (part.Block is { } block)
                {
                    sender.Answered(block.Labels.Sequence);
                    yield return block;
                }
            }

            reader.Finish();
        }
        finally
        {
            await stop.CancelAsync().ConfigureAwait(false);
            await sending.ConfigureAwait(false);
        }
    }

    private static async Task<ReadPart?> NextAsync(IAsyncStreamReader<ReadPart> responses, BatchSender sender, CancellationToken cancellation)
    {
        try
        {
            return await responses.MoveNext(cancellation).ConfigureAwait(false) ? responses.Current : null;
        }
        catch (Exception) when (sender.SourceFailure is not null)
        {
            // The call was cancelled because there was no next batch to send.
            sender.SourceFailure.Throw();
            throw;
        }
    }
}

/// <summary>
/// Sends spec, batches and credits. On a stream with credits it lets no more batches wait for their answer than the server allows, and closes its side only when
/// all are answered, since credit can be granted no longer then.
/// </summary>
internal sealed class BatchSender(IClientStreamWriter<ExtractHiddenStatesRequest> stream, ExtractionSpec spec, CancellationTokenSource stop) : IDisposable
{
    private const int MaxWaiting = 16; // batches, as ExtractionSpec.credit_bytes says

    private readonly SemaphoreSlim _writing = new(1); // a message at a time
    private readonly SemaphoreSlim _room = new(MaxWaiting);
    private readonly ConcurrentQueue<uint> _ends = new(); // of each batch that waits: one past its last text, counted over the stream
    private readonly bool _credits = spec.CreditBytes > 0;
    private ulong _read; // bytes, and not yet granted again

    /// <summary>What the batches' source threw; the call was cancelled then.</summary>
    public ExceptionDispatchInfo? SourceFailure { get; private set; }

    /// <summary>Sends all; ends early where the call has ended.</summary>
    public async Task SendAsync(IEnumerable<TextBatch> batches)
    {
        try
        {
            await WriteAsync(new ExtractHiddenStatesRequest { Spec = spec }).ConfigureAwait(false);
            uint end = 0;
            foreach (var batch in Watched(batches))
            {
                if (_credits)
                {
                    await _room.WaitAsync(stop.Token).ConfigureAwait(false);
                    _ends.Enqueue(end += (uint)(batch.Texts.Count + batch.Chats.Count));
                }

                await WriteAsync(new ExtractHiddenStatesRequest { Batch = batch }).ConfigureAwait(false);
            }

            for (int answered = 0; _credits && answered < MaxWaiting; answered++)
            {
                await _room.WaitAsync(stop.Token).ConfigureAwait(false);
            }

            await stream.CompleteAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (SourceFailure is not null || IsEnd(e))
        {
            // The call has ended, and the reading side says why; or it ends now, since there is nothing more to send.
            if (SourceFailure is not null)
            {
                await stop.CancelAsync().ConfigureAwait(false);
            }
        }
    }

    /// <summary>Lets the server send as many bytes again, on a stream with credits; once half of them are used up, so that chunks do not shrink.</summary>
    public async Task GrantAsync(int bytes)
    {
        _read += (ulong)bytes;
        if (_credits && _read >= Math.Max(1, spec.CreditBytes / 2))
        {
            try
            {
                await WriteAsync(new ExtractHiddenStatesRequest { Credit = new Credit { Bytes = _read } }).ConfigureAwait(false);
                _read = 0;
            }
            catch (Exception e) when (IsEnd(e))
            {
                // The call has ended; the next message says why.
            }
        }
    }

    /// <summary>Notes texts whose rows have come.</summary>
    public void Answered(IReadOnlyList<uint> sequences)
    {
        while (sequences.Count > 0 && _ends.TryPeek(out uint end) && sequences[^1] + 1 >= end)
        {
            _ends.TryDequeue(out _);
            _room.Release();
        }
    }

    public void Dispose()
    {
        _writing.Dispose();
        _room.Dispose();
    }

    private IEnumerable<TextBatch> Watched(IEnumerable<TextBatch> batches)
    {
        using var source = batches.GetEnumerator();
        while (true)
        {
            try
            {
                if (!source.MoveNext())
                {
                    yield break;
                }
            }
            catch (Exception e)
            {
                SourceFailure = ExceptionDispatchInfo.Capture(e);
                throw;
            }

            yield return source.Current;
        }
    }

    // Where a connection is lost amid a write, gRPC leaves .NET's IOException as it is.
    private static bool IsEnd(Exception e) => e is RpcException or InvalidOperationException or OperationCanceledException or IOException;

    private async Task WriteAsync(ExtractHiddenStatesRequest message)
    {
        await _writing.WaitAsync(stop.Token).ConfigureAwait(false);
        try
        {
            await stream.WriteAsync(message, stop.Token).ConfigureAwait(false);
        }
        finally
        {
            _writing.Release();
        }
    }
}

using System.Collections.Concurrent;

namespace LrtMesh.Core.Models;

/// <summary>
/// The requests that wait for a place in the running batch, in order of arrival; bounded. Any thread puts them in, the model thread takes them
/// out.
/// </summary>
internal sealed class GenerationQueue(Func<Generation, LiveSequence> prepare)
{
    private const int MaxWaiting = 1024;

    private readonly ConcurrentQueue<Generation> _arrived = new();
    private readonly List<LiveSequence> _waiting = [];
    private readonly QueueRoom _room = new(TimeProvider.System);
    private int _count;

    /// <summary>How many wait. Any thread.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Whether nobody waits.</summary>
    public bool IsEmpty => Count == 0;

    /// <summary>Puts a request in. Any thread.</summary>
    /// <exception cref="LrtMeshException">ResourceExhausted: the queue is full.</exception>
    public void Enqueue(Generation generation)
    {
        var count = Interlocked.Increment(ref _count);
        if (count > MaxWaiting)
        {
            Interlocked.Decrement(ref _count);
            throw new LrtMeshException(ErrorReason.ResourceExhausted, $"{MaxWaiting} requests are waiting for this model; try again later")
            {
                RetryAfter = _room.Wait(),
            };
        }

        if (count == 1)
        {
            _room.Occupied();
        }

        _arrived.Enqueue(generation);
    }

    /// <summary>Those that wait, in order of arrival, without the cancelled ones.</summary>
    public IReadOnlyList<LiveSequence> Waiting()
    {
        while (_arrived.TryDequeue(out var generation))
        {
            _waiting.Add(prepare(generation));
        }

        foreach (var cancelled in _waiting.Where(sequence => sequence.Generation.Cancellation.IsCancellationRequested).ToList())
        {
            Remove(cancelled);
            cancelled.Generation.Fail(new OperationCanceledException(cancelled.Generation.Cancellation));
        }

        return _waiting;
    }

    /// <summary>Takes one out.</summary>
    public void Remove(LiveSequence sequence)
    {
        _waiting.Remove(sequence);
        Interlocked.Decrement(ref _count);
        _room.Freed();
    }

    /// <summary>Ends all with an error.</summary>
    public void FailAll(Exception error)
    {
        foreach (var sequence in Waiting().ToList())
        {
            Remove(sequence);
            sequence.Generation.Fail(error);
        }
    }
}

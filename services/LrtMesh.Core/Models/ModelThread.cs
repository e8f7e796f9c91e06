using System.Collections.Concurrent;
using System.Diagnostics;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// The one long-lived thread that runs a model: torch's scopes and modes are thread-local, and its memory grows with each
/// thread that ever ran a forward. Work items take turns with the generation loop's steps.
/// </summary>
internal sealed class ModelThread : IDisposable
{
    private const int MaxWaiting = 256;

    private readonly GenerationLoop _loop;
    private readonly BlockingCollection<Action> _work = new(new ConcurrentQueue<Action>(), MaxWaiting);
    private readonly QueueRoom _room = new(TimeProvider.System); // in _work
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Thread _thread;
    private readonly Lock _entry = new(); // nothing comes in once it is stopping: it would wait for ever
    private volatile bool _stopping;
    private long _since; // timestamp at which the work that it is at began; 0: it waits for work

    public ModelThread(string model, GenerationLoop loop)
    {
        _loop = loop;
        _thread = new Thread(Run) { Name = $"model {model}", IsBackground = true };
        _thread.Start();
    }

    /// <summary>How long it has been at one piece of work, a reading or a step; 0 while it waits. Any thread.</summary>
    public TimeSpan AtWork => Interlocked.Read(ref _since) is not 0 and var since ? Stopwatch.GetElapsedTime(since) : TimeSpan.Zero;

    /// <summary>Readings that wait. Any thread.</summary>
    public int Queued => _work.Count;

    /// <summary>Gives the generation loop work.</summary>
    /// <exception cref="LrtMeshException">As <see cref="GenerationLoop.Enqueue"/>; Unavailable: it has stopped.</exception>
    public void Enqueue(Generation generation)
    {
        lock (_entry)
        {
            RequireRunning();
            _loop.Enqueue(generation);
            _wake.Release();
        }
    }

    /// <summary>Runs a function on the model thread, inside a dispose scope; what it returns must be managed memory.</summary>
    /// <exception cref="LrtMeshException">ResourceExhausted: the queue is full. Unavailable: it has stopped.</exception>
    public Task<T> RunAsync<T>(Func<T> function, CancellationToken cancellation)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        void Work()
        {
            if (cancellation.IsCancellationRequested || _stopping)
            {
                done.TrySetException(_stopping ? Stopped() : new OperationCanceledException(cancellation));
                return;
            }

            try
            {
                using var scope = NewDisposeScope();
                done.TrySetResult(function());
            }
            catch (Exception e)
            {
                done.TrySetException(e);
            }
        }

        lock (_entry)
        {
            RequireRunning();
            if (_work.Count == 0)
            {
                _room.Occupied();
            }

            if (!_work.TryAdd(Work))
            {
                throw new LrtMeshException(ErrorReason.ResourceExhausted, $"{MaxWaiting} readings are waiting for this model; try again later")
                {
                    RetryAfter = _room.Wait(),
                };
            }

            _wake.Release();
        }

        return done.Task;
    }

    /// <summary>Stops: what waits, runs or comes later ends with UNAVAILABLE.</summary>
    public void Dispose()
    {
        lock (_entry)
        {
            _stopping = true;
            _wake.Release();
        }

        _thread.Join();
        _work.Dispose();
        _wake.Dispose();
    }

    private void RequireRunning()
    {
        if (_stopping)
        {
            throw Stopped();
        }
    }

    private static LrtMeshException Stopped() => new(ErrorReason.Unavailable, "the model is being unloaded")
    {
        RetryAfter = TimeSpan.FromSeconds(5),
    };

    private void Run()
    {
        using var inference = inference_mode();
        while (!_stopping)
        {
            if (_work.TryTake(out var work))
            {
                _room.Freed();
                Interlocked.Exchange(ref _since, Stopwatch.GetTimestamp());
                work();
            }
            else if (!_loop.HasWork)
            {
                Interlocked.Exchange(ref _since, 0);
                _wake.Wait();
            }

            if (_loop.HasWork && !_stopping)
            {
                Interlocked.Exchange(ref _since, Stopwatch.GetTimestamp());
                Step();
            }
        }

        _loop.FailAll(Stopped());
        while (_work.TryTake(out var late))
        {
            late();
        }
    }

    /// <summary>A step that fails takes its batch with it, and the model goes on.</summary>
    private void Step()
    {
        try
        {
            _loop.Step();
        }
        catch (Exception e)
        {
            _loop.FailAll(e);
        }
    }
}

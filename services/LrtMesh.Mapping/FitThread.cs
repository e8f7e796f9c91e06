using System.Collections.Concurrent;

namespace LrtMesh.Mapping;

/// <summary>
/// The one thread that sums and solves for all jobs of this process: each thread that calls torch gets helpers and stretches of
/// native memory of its own, which it keeps.
/// </summary>
internal sealed class FitThread : IDisposable
{
    private readonly BlockingCollection<Action> _work = [];
    private readonly Thread _thread;

    public FitThread()
    {
        _thread = new Thread(() =>
        {
            foreach (var work in _work.GetConsumingEnumerable())
            {
                work();
            }
        })
        { Name = "fits", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Runs a function on the thread, after those that wait; what it returns must be managed memory.</summary>
    public Task<T> RunAsync<T>(Func<T> function)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        _work.Add(() =>
        {
            try
            {
                done.SetResult(function());
            }
            catch (Exception e)
            {
                done.SetException(e);
            }
        });
        return done.Task;
    }

    /// <inheritdoc cref="RunAsync{T}"/>
    public Task RunAsync(Action action) => RunAsync(() =>
    {
        action();
        return true;
    });

    /// <inheritdoc/>
    public void Dispose()
    {
        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
    }
}

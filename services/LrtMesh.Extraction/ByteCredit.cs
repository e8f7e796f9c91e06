using LrtMesh.Core;

namespace LrtMesh.Extraction;

/// <summary>Bytes that a client lets the server send. One task takes, another grants.</summary>
/// <param name="first">Granted from the start; 0: without credits, as much as is asked for can be taken.</param>
internal sealed class ByteCredit(ulong first)
{
    private readonly Lock _lock = new();
    private ulong _left = first;
    private Exception? _ended;
    private TaskCompletionSource? _waiting;

    /// <summary>Whether the client grants credit.</summary>
    public bool IsUsed { get; } = first > 0;

    /// <summary>Takes what there is, up to <paramref name="most"/> bytes; waits while there is nothing.</summary>
    /// <returns>At least 1.</returns>
    /// <exception cref="LrtMeshException">Nothing is left and no more will come.</exception>
    public async ValueTask<int> TakeAsync(int most, CancellationToken cancellation)
    {
        while (IsUsed)
        {
            Task granted;
            lock (_lock)
            {
                if (_left > 0)
                {
                    var taken = (int)Math.Min(_left, (ulong)most);
                    _left -= (ulong)taken;
                    return taken;
                }

                if (_ended is not null)
                {
                    throw _ended;
                }

                _waiting ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                granted = _waiting.Task;
            }

            await granted.WaitAsync(cancellation);
        }

        return most;
    }

    /// <summary>Adds to what is left, as far as it can be counted.</summary>
    public void Grant(ulong bytes) => Change(() => _left += Math.Min(bytes, ulong.MaxValue - _left));

    /// <summary>No more will come; what is left may still be taken.</summary>
    /// <param name="why">What a taker is told once nothing is left.</param>
    public void End(Exception why) => Change(() => _ended ??= why);

    private void Change(Action change)
    {
        lock (_lock)
        {
            change();
            _waiting?.SetResult();
            _waiting = null;
        }
    }
}

namespace LrtMesh.ServiceDefaults.Limits;

/// <summary>
/// So much at once, and that much again each period. Unlike the limiters of System.Threading.RateLimiting it goes into debt: how many tokens and bytes a call
/// takes is known only once it has taken them, and whoever has taken too much waits for the longer.
/// </summary>
internal sealed class Allowance
{
    private static readonly TimeSpan Least = TimeSpan.FromMilliseconds(1);

    private readonly Lock _lock = new();
    private readonly double _amount;
    private readonly TimeSpan _period;
    private readonly TimeProvider _time;
    private double _left;
    private long _at;

    /// <summary>One that is full.</summary>
    /// <param name="amount">What there is at once, and comes again.</param>
    /// <param name="period">In what time it comes again.</param>
    /// <param name="time">Tells the time.</param>
    public Allowance(double amount, TimeSpan period, TimeProvider time) =>
        (_amount, _period, _time, _left, _at) = (amount, period, time, amount, time.GetTimestamp());

    /// <summary>Whether nothing has been used that has not come again.</summary>
    public bool IsFull
    {
        get
        {
            lock (_lock)
            {
                return Left() >= _amount;
            }
        }
    }

    /// <summary>Until when there is something left.</summary>
    /// <returns>The time until then; null: there is.</returns>
    public TimeSpan? Wait()
    {
        lock (_lock)
        {
            return WaitFor(Left());
        }
    }

    /// <summary>Uses one, if there is one.</summary>
    /// <returns>The time until there is; null: it is used.</returns>
    public TimeSpan? TakeOne()
    {
        lock (_lock)
        {
            var wait = WaitFor(Left());
            if (wait is null)
            {
                _left--;
            }

            return wait;
        }
    }

    /// <summary>Uses what was taken.</summary>
    public void Use(double used)
    {
        lock (_lock)
        {
            _left = Left() - used;
        }
    }

    private TimeSpan? WaitFor(double left)
    {
        var needed = Math.Min(1, _amount);
        if (left >= needed)
        {
            return null;
        }

        var wait = _period * ((needed - left) / _amount);
        return wait > Least ? wait : Least;
    }

    private double Left()
    {
        var now = _time.GetTimestamp();
        _left = Math.Min(_amount, _left + (_amount * (_time.GetElapsedTime(_at, now) / _period)));
        _at = now;
        return _left;
    }
}

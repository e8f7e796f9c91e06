namespace LrtMesh.Core.Models;

/// <summary>
/// When a full queue will have room for one that it refuses, from how fast those in it have left. Each that is refused gets the room after that of the one refused before, so that
/// they do not all come back for the same. Safe for concurrent use.
/// </summary>
/// <param name="time">Tells the time.</param>
internal sealed class QueueRoom(TimeProvider time)
{
    private const double NewestShare = 1 / 16.0; // of the newest gap in the mean
    private const double Jitter = 0.1; // of a wait, either way

    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private TimeSpan _gap = TimeSpan.FromMilliseconds(100); // mean, between two that leave; at first a guess
    private long _since = time.GetTimestamp(); // when the last one left, or came into the empty queue
    private long _promised = time.GetTimestamp(); // when the room comes of the one that was refused last

    /// <summary>The queue was empty and is not any more.</summary>
    public void Occupied()
    {
        lock (_lock)
        {
            _since = time.GetTimestamp();
        }
    }

    /// <summary>One has left.</summary>
    public void Freed()
    {
        lock (_lock)
        {
            var now = time.GetTimestamp();
            _gap = MeanWith(time.GetElapsedTime(_since, now));
            _since = now;
        }
    }

    /// <summary>After what time one that is refused now should come again; 50 ms to 30 s.</summary>
    public TimeSpan Wait()
    {
        lock (_lock)
        {
            var now = time.GetTimestamp();
            var open = time.GetElapsedTime(_since, now); // where nobody leaves any more the mean is not what it was
            var gap = open > _gap ? MeanWith(open) : _gap;
            var waits = TimeSpan.FromTicks(Math.Max(0, time.GetElapsedTime(now, _promised).Ticks)) + gap;
            waits = waits < Longest ? waits : Longest;
            _promised = now + (long)(waits.TotalSeconds * time.TimestampFrequency);
            waits *= 1 - Jitter + (2 * Jitter * Random.Shared.NextDouble());
            return waits < Shortest ? Shortest : waits < Longest ? waits : Longest;
        }
    }

    private TimeSpan MeanWith(TimeSpan gap) => _gap + ((gap - _gap) * NewestShare);
}

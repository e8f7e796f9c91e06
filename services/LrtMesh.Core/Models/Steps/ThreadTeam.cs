using System.Diagnostics;

namespace LrtMesh.Core.Models.Steps;

/// <summary>
/// Threads that work through the parts of one job after the other, together with the thread that gives it to them. A step of decoding is some 150 jobs of
/// 10 to 500 microseconds, so a thread that finds nothing to do spins for a while before it sleeps. Each thread has a run of parts that lie side by side, so that what it
/// asks of memory ahead of time is its own; parts are claimed one by one, and who is done takes from the others' runs: the system may have given their core away.
/// </summary>
internal sealed class ThreadTeam : IDisposable
{
    /// <summary>The most parts a job may have.</summary>
    public const int MaxParts = ushort.MaxValue / 2; // threads may count past the end

    private const int LongsApart = 8;

    // As long as torch's own threads spin (NativeTorch): on few cores more is taken from the threads that serve requests.
    private static readonly long SpinTicks = Stopwatch.Frequency / 10_000; // 100 µs

    private readonly Thread[] _others;
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _wake = new(0);
    private Action<int> _part = static _ => { };
    private readonly long[] _runs; // one a thread, a cache line apart: number of the job (32 bits), end of the run (16), next part (16); claimed in one operation, so that no job takes another's part
    private int _job; // number of the last
    private int _left; // parts that are not done
    private int _sleeping;
    private Exception? _error; // of a part
    private volatile bool _stopping;

    /// <summary>A team of so many threads, the caller of <see cref="Run"/> included.</summary>
    public ThreadTeam(int threads)
    {
        _runs = new long[threads * LongsApart];
        _others = [.. Enumerable.Range(1, threads - 1).Select(number => new Thread(() => Follow(number)) { Name = $"decoding {number}", IsBackground = true })];
        Array.ForEach(_others, thread => thread.Start());
    }

    /// <summary>Runs <paramref name="part"/> for 0 to <paramref name="parts"/> − 1, in any order, and returns when all are done. One caller at a time.</summary>
    public void Run(Action<int> part, int parts)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(parts, MaxParts);
        if (_others.Length == 0 || parts == 1)
        {
            for (var i = 0; i < parts; i++)
            {
                part(i);
            }

            return;
        }

        _part = part;
        _left = parts;
        var (job, threads) = (_job + 1, _others.Length + 1);
        for (var thread = 0; thread < threads; thread++)
        {
            var (from, to) = (parts * thread / threads, parts * (thread + 1) / threads);
            Volatile.Write(ref _runs[thread * LongsApart], ((long)job << 32) | ((long)to << 16) | (long)from);
        }

        Interlocked.Exchange(ref _job, job);
        Wake();
        Work(0);
        for (var since = Stopwatch.GetTimestamp(); Volatile.Read(ref _left) > 0;)
        {
            if (Stopwatch.GetTimestamp() - since > SpinTicks)
            {
                Thread.Yield(); // whoever has the last part may be waiting for this core
            }

            Thread.SpinWait(1);
        }

        if (_error is { } error)
        {
            _error = null;
            throw new InvalidOperationException("a part of a step failed", error);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping = true;
        Wake();
        Array.ForEach(_others, thread => thread.Join());
        _wake.Dispose();
    }

    private void Wake()
    {
        if (Volatile.Read(ref _sleeping) == 0)
        {
            return;
        }

        lock (_gate)
        {
            if (_sleeping > 0)
            {
                _wake.Release(_sleeping);
                _sleeping = 0;
            }
        }
    }

    private void Follow(int thread)
    {
        for (var done = 0; !_stopping;)
        {
            Await(done);
            done = Volatile.Read(ref _job);
            Work(thread);
        }
    }

    /// <summary>Returns when there is another job than the one given.</summary>
    private void Await(int done)
    {
        var since = Stopwatch.GetTimestamp();
        while (Volatile.Read(ref _job) == done && !_stopping)
        {
            Thread.SpinWait(4);
            if (Stopwatch.GetTimestamp() - since <= SpinTicks)
            {
                continue;
            }

            lock (_gate)
            {
                Interlocked.Increment(ref _sleeping); // seen by whoever gives a job after the look at it below
                if (Volatile.Read(ref _job) != done || _stopping)
                {
                    _sleeping--;
                    return;
                }
            }

            _wake.Wait();
        }
    }

    /// <summary>Does what is left of a thread's own run, and then of the others'.</summary>
    private void Work(int thread)
    {
        for (var i = 0; i <= _others.Length; i++)
        {
            ref var run = ref _runs[(thread + i) % (_others.Length + 1) * LongsApart];
            while (Next(Volatile.Read(ref run)) < End(Volatile.Read(ref run)))
            {
                var claim = Interlocked.Increment(ref run) - 1;
                if (Next(claim) < End(claim))
                {
                    Do(Next(claim));
                }
            }
        }

        static int Next(long run) => (int)(run & 0xFFFF);
        static int End(long run) => (int)(run >> 16) & 0xFFFF;
    }

    /// <summary>Does a part that was claimed, which keeps its job from ending before.</summary>
    private void Do(int number)
    {
        try
        {
            _part(number);
        }
        catch (Exception e)
        {
            _error = e;
        }

        Interlocked.Decrement(ref _left);
    }
}

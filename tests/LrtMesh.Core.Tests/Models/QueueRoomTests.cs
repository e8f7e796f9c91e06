using LrtMesh.Core.Models;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>When a full queue says that it will have room.</summary>
public sealed class QueueRoomTests
{
    private readonly Clock _clock = new();

    [Theory]
    [InlineData(0.2)]
    [InlineData(2.0)]
    public void One_comes_back_when_the_next_one_has_left(double gap)
    {
        var room = Pace(gap, 100);
        Assert.InRange(room.Wait().TotalSeconds, gap * 0.85, gap * 1.15);
    }

    [Fact]
    public void Each_gets_the_room_after_that_of_the_one_before()
    {
        var room = Pace(0.5, 100);
        for (var refused = 1; refused <= 20; refused++)
        {
            Assert.InRange(room.Wait().TotalSeconds, refused * 0.5 * 0.85, refused * 0.5 * 1.15);
        }

        // Once those rooms have come, the next is near again.
        _clock.Advance(8);
        Assert.InRange(room.Wait().TotalSeconds, 2.5 * 0.85, 3.6 * 1.15);
        _clock.Advance(20);
        room.Freed();
        Assert.InRange(room.Wait().TotalSeconds, 0.4, 2.5);
    }

    [Fact]
    public void Waits_have_bounds_and_do_not_agree()
    {
        var fast = Pace(0.0001, 1000);
        Assert.Equal(0.05, fast.Wait().TotalSeconds, 3);
        var slow = Pace(20, 100);
        var waits = Enumerable.Range(0, 1000).Select(_ => slow.Wait().TotalSeconds).ToArray();
        Assert.All(waits, wait => Assert.InRange(wait, 0.05, 30));
        Assert.True(waits.Distinct().Count() > 100);

        // What was promised beyond the bound is not waited for by those that come later.
        _clock.Advance(30);
        slow.Freed();
        Assert.InRange(slow.Wait().TotalSeconds, 15, 30);
    }

    [Fact]
    public void A_queue_that_nobody_leaves_any_more_says_so()
    {
        var room = Pace(0.1, 100);
        _clock.Advance(160);
        Assert.InRange(room.Wait().TotalSeconds, 5, 15);
    }

    [Fact]
    public void Time_with_nobody_in_the_queue_does_not_count()
    {
        var room = Pace(0.2, 100);
        for (var i = 0; i < 50; i++)
        {
            _clock.Advance(100);
            room.Occupied();
            _clock.Advance(0.2);
            room.Freed();
        }

        room.Occupied();
        Assert.InRange(room.Wait().TotalSeconds, 0.2 * 0.85, 0.2 * 1.15);
    }

    /// <summary>A queue that someone has left every so many seconds.</summary>
    private QueueRoom Pace(double seconds, int times)
    {
        var room = new QueueRoom(_clock);
        room.Occupied();
        for (var i = 0; i < times; i++)
        {
            _clock.Advance(seconds);
            room.Freed();
        }

        return room;
    }

    private sealed class Clock : TimeProvider
    {
        private long _microseconds;

        public override long TimestampFrequency => 1_000_000;

        public override long GetTimestamp() => _microseconds;

        public void Advance(double seconds) => _microseconds += (long)(seconds * 1e6);
    }
}

using LrtMesh.Core.Models.Steps;
using Xunit;

namespace LrtMesh.Core.Tests.Models.Steps;

/// <summary>Every part of every job is done once, before the job ends.</summary>
public sealed class ThreadTeamTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    public void Every_part_of_each_of_many_jobs_is_done_once_before_the_next(int threads)
    {
        using var team = new ThreadTeam(threads);
        var done = new int[1000];
        var random = new Random(threads);
        for (var job = 1; job <= 20_000; job++)
        {
            var parts = job % 1000 == 0 ? 1000 : random.Next(1, 20);
            Array.Clear(done);
            team.Run(part => Interlocked.Increment(ref done[part]), parts);
            Assert.False(done.AsSpan(0, parts).ContainsAnyExcept(1));
            Assert.False(done.AsSpan(parts).ContainsAnyExcept(0));
            if (job % 2000 == 0)
            {
                Thread.Sleep(2); // the others fall asleep
            }
        }
    }

    [Fact]
    public void Threads_share_a_job()
    {
        using var team = new ThreadTeam(2);
        using var both = new Barrier(2);
        Assert.All(Enumerable.Range(0, 100), _ => team.Run(_ => Assert.True(both.SignalAndWait(TimeSpan.FromSeconds(30))), 2));
    }

    [Fact]
    public void A_part_that_fails_fails_its_job_and_no_other()
    {
        using var team = new ThreadTeam(3);
        var error = Assert.Throws<InvalidOperationException>(() => team.Run(part => ThrowAt(part, 7), 20));
        Assert.Equal("seven", error.InnerException!.Message);
        var done = 0;
        team.Run(_ => Interlocked.Increment(ref done), 20);
        Assert.Equal(20, done);

        static void ThrowAt(int part, int wrong)
        {
            if (part == wrong)
            {
                throw new FormatException("seven");
            }
        }
    }
}

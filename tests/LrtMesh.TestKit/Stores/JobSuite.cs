using LrtMesh.Core;
using LrtMesh.Core.Store;
using Xunit;

namespace LrtMesh.TestKit.Stores;

/// <summary>Jobs, on every store.</summary>
public abstract class JobSuite<TServer>(StoreFixture<TServer> fixture) : MeshStoreSuite<TServer>(fixture)
    where TServer : StoreServer, new()
{
    [Fact]
    public async Task A_repeated_request_finds_its_job()
    {
        var request = Prefix + "a request {with} any character ü";
        var created = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Store.Jobs.CreateAsync(Pending(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), request, Ct)));

        Assert.Single(created.Select(job => job.Id).Distinct());
        Assert.Equal(1ul, created[0].Revision);
        Assert.Equal(created[0], await Store.Jobs.GetAsync(created[0].Id, Ct));
        var other = await Store.Jobs.CreateAsync(Pending(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct);
        Assert.NotEqual(created[0].Id, other.Id);
    }

    [Fact]
    public async Task Jobs_are_listed_newest_first_in_pages()
    {
        var ids = new List<string>();
        for (var i = 0; i < 5; i++)
        {
            ids.Add((await Store.Jobs.CreateAsync(Pending(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct)).Id);
            // Ids sort by the millisecond.
            await Task.Delay(2, Ct);
        }

        var seen = new List<string>();
        var token = "";
        while (seen.Count(ids.Contains) < ids.Count)
        {
            var page = await Store.Jobs.ListAsync(2, token, Ct);
            seen.AddRange(page.Items.Select(job => job.Id));
            token = page.NextToken;
            Assert.True(token.Length > 0 || seen.Count(ids.Contains) == ids.Count);
        }

        Assert.Equal(ids.AsEnumerable().Reverse(), seen.Where(ids.Contains));
    }

    [Fact]
    public async Task No_change_is_lost_when_many_change_one_job()
    {
        const int Clients = 4;
        const int Changes = 10;
        var id = (await Store.Jobs.CreateAsync(Pending(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct)).Id;
        await using var other = await ConnectAsync(Server);
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(async client =>
        {
            var jobs = (client % 2 == 0 ? Store : other).Jobs;
            for (var i = 0; i < Changes; i++)
            {
                await jobs.UpdateAsync(
                    id,
                    job =>
                    {
                        job.Rows++;
                        return job;
                    },
                    Ct);
            }
        }));

        var job = await Store.Jobs.GetAsync(id, Ct);
        Assert.Equal((ulong)(Clients * Changes), job.Rows);
        Assert.Equal(1ul + Clients * Changes, job.Revision);
        Assert.Equal(job, await Store.Jobs.UpdateAsync(id, _ => null, Ct));
    }

    [Fact]
    public async Task A_watch_resumes_after_a_revision_and_ends_with_the_job()
    {
        var id = (await Store.Jobs.CreateAsync(Pending(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct)).Id;
        await SetStateAsync(id, V1.JobState.Extracting);
        await using var other = await ConnectAsync(Server);

        var seen = new List<V1.MapJob>();
        var first = new TaskCompletionSource();
        var watch = Task.Run(
            async () =>
            {
                await foreach (var job in other.Jobs.WatchAsync(id, 1, Ct))
                {
                    seen.Add(job);
                    first.TrySetResult();
                }
            },
            Ct);
        await first.Task.WaitAsync(TimeSpan.FromSeconds(20), Ct);
        await SetStateAsync(id, V1.JobState.Solving);
        await SetStateAsync(id, V1.JobState.Succeeded);
        await watch.WaitAsync(TimeSpan.FromSeconds(20), Ct);

        Assert.Equal(2ul, seen[0].Revision);
        Assert.Equal(V1.JobState.Succeeded, seen[^1].State);
        Assert.Equal(seen.Select(job => job.Revision).Distinct().Order(), seen.Select(job => job.Revision));
        // All of it has been seen: nothing comes, and it ends.
        await foreach (var job in other.Jobs.WatchAsync(id, 4, Ct))
        {
            Assert.Fail($"revision {job.Revision} came again");
        }
    }

    [Fact]
    public async Task A_change_by_another_client_reaches_a_watch_sooner_than_its_poll()
    {
        var id = (await Store.Jobs.CreateAsync(Pending(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct)).Id;
        await using var other = await ConnectAsync(Server);
        await using var watch = other.Jobs.WatchAsync(id, 0, Ct).GetAsyncEnumerator(Ct);
        Assert.True(await watch.MoveNextAsync());
        // Ten changes at a poll of two seconds would take twenty.
        var clock = System.Diagnostics.Stopwatch.StartNew();
        for (var i = 0; i < 10; i++)
        {
            var next = watch.MoveNextAsync();
            await SetStateAsync(id, V1.JobState.Extracting);
            Assert.True(await next);
        }

        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 10);
    }

    [Fact]
    public async Task A_job_that_is_not_there_is_not_found()
    {
        await FailsAsync(ErrorReason.NotFound, "nothing", () => Store.Jobs.GetAsync("nothing", Ct));
        await FailsAsync(ErrorReason.NotFound, "nothing", () => Store.Jobs.UpdateAsync("nothing", job => job, Ct));
        await FailsAsync(ErrorReason.NotFound, "nothing", async () =>
        {
            await using var watch = Store.Jobs.WatchAsync("nothing", 0, Ct).GetAsyncEnumerator(Ct);
            await watch.MoveNextAsync();
        });
    }

    [Fact]
    public async Task A_job_is_one_worker_s_until_it_gives_it_back_or_is_gone()
    {
        var id = (await Store.Jobs.CreateAsync(Pending(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct)).Id;
        var first = await TakeAsync("first", id);
        Assert.Equal((1u, 1u, "first"), (first.Attempts, first.StalledAttempts, first.Worker));
        Assert.True(await Store.Jobs.Open.KeepAsync(id, "first", Ct));
        Assert.False(await Store.Jobs.Open.KeepAsync(id, "second", Ct));
        await Store.Jobs.Open.ReleaseAsync(id, "second", Ct); // what it does not have it cannot give back
        Assert.True(await Store.Jobs.Open.KeepAsync(id, "first", Ct));

        await Store.Jobs.Open.ReleaseAsync(id, "first", Ct);
        Assert.Equal(2u, (await TakeAsync("second", id)).Attempts);
        var gone = System.Diagnostics.Stopwatch.StartNew(); // the second says nothing more
        Assert.Equal((3u, "third"), ((await TakeAsync("third", id)).Attempts, (await Store.Jobs.GetAsync(id, Ct)).Worker));
        Assert.InRange(gone.Elapsed, OpenJobs.LeaseTime - TimeSpan.FromSeconds(1), OpenJobs.LeaseTime + TimeSpan.FromSeconds(10));
        Assert.False(await Store.Jobs.Open.KeepAsync(id, "second", Ct));
        await SetStateAsync(id, V1.JobState.Succeeded);
    }

    [Theory]
    [InlineData("schema", "2", ErrorReason.FailedPrecondition)]
    [InlineData("digest", "sha256:0", ErrorReason.DataLoss)]
    public async Task A_job_that_cannot_be_read_holds_up_no_other(string field, string value, ErrorReason reason)
    {
        var first = (await Store.Jobs.CreateAsync(Pending(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct)).Id;
        var second = (await Store.Jobs.CreateAsync(Pending(), new V1.CreateMapJobRequest(), TimeSpan.FromHours(1), "", Ct)).Id;
        await using var raw = await StackExchange.Redis.ConnectionMultiplexer.ConnectAsync(Server.Address);
        await raw.GetDatabase().HashSetAsync($"lrtmesh:job:{{{first}}}", field, value);

        await FailsAsync(reason, first, () => Store.Jobs.GetAsync(first, Ct));
        Assert.Equal(second, (await TakeAsync("worker", second)).Id);
        await SetStateAsync(second, V1.JobState.Succeeded);
        await raw.GetDatabase().KeyDeleteAsync($"lrtmesh:job:{{{first}}}");
    }

    [Fact]
    public async Task A_job_s_files_are_whole_and_written_by_the_worker_that_has_it()
    {
        var request = new V1.CreateMapJobRequest { Map = "m", Documents = { Enumerable.Range(0, 3).Select(i => new V1.Document { Text = new string((char)('a' + i), 2 << 20) }) } };
        var id = (await Store.Jobs.CreateAsync(Pending(), request, TimeSpan.FromHours(1), "", Ct)).Id;
        await using (var stored = await Store.Jobs.Files.ReadAsync(id, JobFiles.Request, Ct))
        {
            Assert.Equal(request, V1.CreateMapJobRequest.Parser.ParseFrom(stored!));
        }

        await TakeAsync("worker", id);
        foreach (var length in new[] { 10, 5 << 20, 0 })
        {
            var content = new byte[length];
            Random.Shared.NextBytes(content);
            Assert.True(await WriteAsync(content, "worker"));
            Assert.False(await WriteAsync([1, 2, 3], "other"));
            await using var read = await Store.Jobs.Files.ReadAsync(id, JobFiles.Moments, Ct);
            using var copy = new MemoryStream();
            await read!.CopyToAsync(copy, Ct);
            Assert.Equal(content, copy.ToArray());
        }

        await Store.Jobs.Files.DeleteAsync(id, JobFiles.Moments, Ct);
        Assert.Null(await Store.Jobs.Files.ReadAsync(id, JobFiles.Moments, Ct));
        await SetStateAsync(id, V1.JobState.Failed);
        Assert.Null(await Store.Jobs.Files.ReadAsync(id, JobFiles.Request, Ct));

        async Task<bool> WriteAsync(byte[] bytes, string worker)
        {
            using var content = new MemoryStream(bytes);
            return await Store.Jobs.Files.WriteAsync(id, JobFiles.Moments, content, TimeSpan.FromHours(1), worker, Ct);
        }
    }

    /// <summary>Takes jobs, and ends those of other tests, until this one comes.</summary>
    private async Task<V1.MapJob> TakeAsync(string worker, string id)
    {
        await foreach (var (tenant, job) in Store.TakeJobsAsync(worker, Ct))
        {
            if (job.Id == id)
            {
                return job;
            }

            await tenant.Jobs.Open.ReleaseAsync(job.Id, worker, Ct);
            await tenant.Jobs.UpdateAsync(job.Id, other => new V1.MapJob(other) { State = V1.JobState.Cancelled }, Ct);
        }

        throw new InvalidOperationException("there are always more jobs");
    }

    private Task<V1.MapJob> SetStateAsync(string id, V1.JobState state) => Store.Jobs.UpdateAsync(
        id,
        job =>
        {
            job.State = state;
            return job;
        },
        Ct);

    private static V1.MapJob Pending() => new() { Map = "m", State = V1.JobState.Pending };
}

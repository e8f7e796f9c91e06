using System.Diagnostics;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Core.Store;
using LrtMesh.Core.Tensors;
using LrtMesh.Mapping;
using LrtMesh.Standalone;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Microsoft.Extensions.Logging.Abstractions;
using StackExchange.Redis;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

public sealed class MappingTests(MeshFixture mesh) : MeshTests(mesh)
{
    [Fact]
    public async Task A_job_fits_a_map_that_carries_a_vector_which_steers()
    {
        var job = await Mesh.Mapping.RunJobAsync(Job("spine"), Ct);

        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        Assert.Equal((60ul, 60ul), (job.DocumentsDone, job.DocumentsTotal));
        var map = (await Mesh.Mapping.GetMapAsync(new() { Name = "spine" }, cancellationToken: Ct)).Map;
        Assert.Equal(map, job.Result);
        Assert.Equal((16u, 24u, job.Rows), (map.SourceWidth, map.TargetWidth, map.Metrics.Rows + map.Metrics.HeldOutRows));
        var control = (await Mesh.Mapping.GetMapAsync(new() { Name = "spine.shuffled" }, cancellationToken: Ct)).Map;
        Assert.True(control.Shuffled);
        Assert.Equal(map.Metrics.Lambda, control.Metrics.Lambda);
        Assert.True(map.Metrics.R2 > control.Metrics.R2);
        Assert.Contains("spine", (await Mesh.Mapping.ListMapsAsync(new() { Prefix = "sp" }, cancellationToken: Ct)).Maps.Select(m => m.Name));
        Assert.Contains(job.Id, (await Mesh.Mapping.ListMapJobsAsync(new(), cancellationToken: Ct)).Jobs.Select(j => j.Id));

        await Mesh.Extraction.LearnVectorAsync(new() { Name = "spine/learnt", Model = "source", Layers = { 1 }, Pairs = { Pairs(6) } }, cancellationToken: Ct);
        var mapped = (await Mesh.Mapping.TransferVectorAsync(new() { Vector = "spine/learnt", Map = "spine", Name = "spine/mapped" }, cancellationToken: Ct)).Vector;
        Assert.Equal(("target", 2u, 24u), (mapped.Model, mapped.Layer, mapped.Width));
        Assert.Equal((VectorMethod.Mapped, map.Digest), (mapped.Provenance.Method, mapped.Provenance.MapDigest));

        var steered = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = "spine/mapped", Coefficient = 200 }), Ct);
        Assert.Equal(map.Digest, Assert.Single(steered.Finished.Steering).MapDigest);
        var onTheWay = await Mesh.Generation.AnswerAsync(Greedy("The cat", new Steering { Vector = "spine/learnt", Map = "spine", Coefficient = 200 }), Ct);
        Assert.Equal(steered.Ids, onTheWay.Ids);
        Assert.Equal((mapped.Digest, map.Digest), (onTheWay.Finished.Steering[0].VectorDigest, onTheWay.Finished.Steering[0].MapDigest));
    }

    [Fact]
    public async Task Applying_a_map_to_a_vector_is_what_transfer_stores()
    {
        await Mesh.Mapping.RunJobAsync(Job("applied"), Ct);
        var x = Enumerable.Range(1, 16).Select(i => (float)Math.Sin(i)).ToArray();
        await Mesh.Vectors.PutVectorAsync(Given("applied/x", "source", layer: 1, x), cancellationToken: Ct);
        var applied = await Mesh.Mapping.ApplyMapAsync(new() { Map = "applied", Rows = TensorCodec.Encode([.. x, .. x], 2, 16), WithoutBias = true }, cancellationToken: Ct);
        var withBias = await Mesh.Mapping.ApplyMapAsync(new() { Map = "applied", Rows = TensorCodec.Encode([.. x], 1, 16) }, cancellationToken: Ct);
        foreach (var bias in new[] { false, true })
        {
            await Mesh.Mapping.TransferVectorAsync(new() { Vector = "applied/x", Map = "applied", Name = "applied/y", AddBias = bias }, cancellationToken: Ct);
            var y = (await Mesh.Vectors.GetVectorAsync(new() { Name = "applied/y" }, cancellationToken: Ct)).Elements.Data;
            Assert.Equal((bias ? withBias : applied).Rows.Data.Span[..y.Length], y.Span);
        }

        Assert.Equal([2ul, 24ul], applied.Rows.Header.Shape);
        Assert.False(applied.Rows.Data.Span[..96].SequenceEqual(withBias.Rows.Data.Span));
    }

    [Fact]
    public async Task A_repeated_request_id_gets_the_same_job_and_the_same_texts_the_same_map()
    {
        var request = Job("repeated");
        request.RequestId = "once";
        var first = await Mesh.Mapping.RunJobAsync(request, Ct);
        var again = (await Mesh.Mapping.CreateMapJobAsync(request, cancellationToken: Ct)).Job;
        var other = await Mesh.Mapping.RunJobAsync(Job("repeated"), Ct);

        Assert.Equal(first, again);
        Assert.NotEqual(first.Id, other.Id);
        Assert.Equal(first.Result.DataDigest, other.Result.DataDigest);
        Assert.Equal((1ul, 2ul), (first.Result.Version, other.Result.Version));
    }

    [Fact]
    public async Task What_no_one_expects_of_the_store_ends_no_role_and_jobs_go_on_after()
    {
        var folder = Directory.CreateTempSubdirectory("lrtmesh-surprise-");
        await using (var embedded = EmbeddedStore.Start(folder.FullName, 0))
        {
            await using var store = await MeshStore.ConnectAsync(embedded.Address, NullLogger<MeshStore>.Instance, Ct);
            await using var redis = await ConnectionMultiplexer.ConnectAsync(embedded.Address);
            await redis.GetDatabase().SortedSetAddAsync("lrtmesh:{jobs}:open", "surprise", -1e18); // added at a time that no calendar has
            var pending = new MapJob { State = JobState.Pending, Deadline = Timestamp.FromDateTime(DateTime.UtcNow.AddHours(1)) };
            var id = (await store.Jobs.CreateAsync(pending, Job("surprised"), TimeSpan.FromHours(1), "", Ct)).Id;
            await using var role = MappingRole.Build(new() { Redis = embedded.Address, Endpoints = () => [] });
            await role.StartAsync(Ct);
            using var channel = GrpcChannel.ForAddress(role.Address);
            var maps = new MappingService.MappingServiceClient(channel);
            await Task.Delay(TimeSpan.FromSeconds(3), Ct);
            Assert.Equal(0u, await AttemptsAsync());

            await redis.GetDatabase().SortedSetRemoveAsync("lrtmesh:{jobs}:open", "surprise");
            for (var clock = Stopwatch.StartNew(); await AttemptsAsync() == 0; await Task.Delay(50, Ct))
            {
                Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), "the job is not taken");
            }

            async Task<uint> AttemptsAsync() => (await maps.GetMapJobAsync(new() { Id = id }, cancellationToken: Ct)).Job.Attempts;
        }

        folder.Delete(recursive: true);
    }

    [Fact]
    public async Task A_cancelled_job_leaves_no_map()
    {
        var request = Job("cancelled", documents: 4000);
        var job = (await Mesh.Mapping.CreateMapJobAsync(request, cancellationToken: Ct)).Job;
        var cancelled = (await Mesh.Mapping.CancelMapJobAsync(new() { Id = job.Id }, cancellationToken: Ct)).Job;
        await Mesh.Mapping.RunJobAsync(Job("after"), Ct); // jobs run one at a time: the one before has ended

        Assert.Equal(JobState.Cancelled, cancelled.State);
        Assert.Equal(cancelled, (await Mesh.Mapping.GetMapJobAsync(new() { Id = job.Id }, cancellationToken: Ct)).Job);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await Mesh.Mapping.GetMapAsync(new() { Name = "cancelled" }, cancellationToken: Ct));
        Assert.Equal(StatusCode.NotFound, error.StatusCode);
    }

    [Fact]
    public async Task Maps_and_vectors_are_deleted()
    {
        await Mesh.Mapping.RunJobAsync(Job("deleted"), Ct);
        await Mesh.Vectors.PutVectorAsync(Given("deleted", "source", 1, new float[16].Select(_ => 1f).ToArray()), cancellationToken: Ct);
        await Mesh.Mapping.DeleteMapAsync(new() { Name = "deleted" }, cancellationToken: Ct);
        await Mesh.Vectors.DeleteVectorAsync(new() { Name = "deleted" }, cancellationToken: Ct);

        Assert.DoesNotContain("deleted", (await Mesh.Mapping.ListMapsAsync(new(), cancellationToken: Ct)).Maps.Select(map => map.Name));
        Assert.DoesNotContain("deleted", (await Mesh.Vectors.ListVectorsAsync(new(), cancellationToken: Ct)).Vectors.Select(vector => vector.Name));
    }

    [Fact]
    public async Task After_a_restart_vectors_are_there_and_a_job_goes_on_to_the_same_map()
    {
        var undisturbed = await Mesh.Mapping.RunJobAsync(Job("cut/undisturbed", documents: 6000), Ct);
        await Mesh.Vectors.PutVectorAsync(Given("kept", "source", 1, [1, 2, 3]), cancellationToken: Ct);
        var job = (await Mesh.Mapping.CreateMapJobAsync(Job("cut", documents: 6000), cancellationToken: Ct)).Job;
        using (var watch = Mesh.Mapping.WatchMapJob(new() { Id = job.Id }, cancellationToken: Ct))
        {
            while (job.DocumentsSaved == 0 && await watch.ResponseStream.MoveNext(Ct))
            {
                job = watch.ResponseStream.Current.Job;
            }
        }

        await Mesh.RestartAsync();

        Assert.Equal(3u, (await Mesh.Vectors.GetVectorAsync(new() { Name = "kept" }, cancellationToken: Ct)).Vector.Width);
        job = await Mesh.Mapping.EndedAsync(job.Id, Ct);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        Assert.True(job.Attempts > 1, "it ended before the restart");
        Assert.Equal(undisturbed.Result.Digest, job.Result.Digest); // bit for bit: the digest is over A and b
        Assert.Equal(undisturbed.Result.DataDigest, job.Result.DataDigest);
        CountTensors(); // the models were loaded anew
    }

    [Theory]
    [InlineData(MapSolver.Unspecified)]
    [InlineData(MapSolver.LeastSquares)]
    [InlineData(MapSolver.ReducedRank)]
    [InlineData(MapSolver.Procrustes)]
    [InlineData(MapSolver.Adamw)]
    public async Task Every_solver_is_served(MapSolver solver)
    {
        var request = Job($"solver/{solver}", documents: 200);
        request.Fit = new FitOptions { Solver = solver, Rank = solver == MapSolver.ReducedRank ? 4u : 0 };
        var job = await Mesh.Mapping.RunJobAsync(request, Ct);

        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        var metrics = job.Result.Metrics;
        Assert.Equal(solver == MapSolver.Unspecified ? MapSolver.Ridge : solver, metrics.Solver);
        Assert.Equal(24, metrics.R2PerDimension.Count);
        Assert.Equal(solver == MapSolver.ReducedRank ? 4u : 16, metrics.Rank);
        Assert.InRange(metrics.RelativeError, 0.01, 2);
        Assert.InRange(metrics.Cka, 0.01, 1);
        Assert.InRange(metrics.Svcca, 0.01, 1);
        Assert.True(metrics.ConditionNumber > 1);
        Assert.Equal((metrics.SourceTokens, metrics.TargetTokens), (job.Rows, job.Rows));
    }

    [Fact]
    public async Task One_pass_fits_several_maps_and_the_maps_back()
    {
        var request = Job("several");
        request.Fit.MapBack = true;
        request.More.Add(new MapPair { Map = "several/deeper", Source = new LayerRef { Model = "source", Layer = 2 }, Target = request.Target });
        var job = await Mesh.Mapping.RunJobAsync(request, Ct);

        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        Assert.Equal(
            [.. new[] { "several", "several/deeper" }.SelectMany(name => new[] { name, $"{name}.shuffled", $"{name}.back", $"{name}.back.shuffled" })],
            job.Maps.Select(map => map.Name));
        var alone = await Mesh.Mapping.RunJobAsync(Job("several/alone"), Ct);
        Assert.Equal(alone.Result.Metrics.R2, job.Result.Metrics.R2, 3);
        var back = job.Maps.Single(map => map.Name == "several.back");
        Assert.Equal((24u, 16u, request.Target), (back.SourceWidth, back.TargetWidth, back.Source));
        Assert.True(back.Metrics.R2 > job.Maps.Single(map => map.Name == "several.back.shuffled").Metrics.R2);
    }

    [Fact]
    public async Task Halves_of_the_texts_give_the_map_of_the_whole()
    {
        var whole = Job("halves/whole");
        var (first, second, sum) = (whole.Clone(), whole.Clone(), whole.Clone());
        (first.KeepMoments, second.KeepMoments) = (true, true);
        (first.Map, second.Map, sum.Map) = ("halves/first", "halves/second", "halves/sum");
        first.Documents.Clear();
        first.Documents.AddRange(whole.Documents.Take(30));
        second.Documents.Clear();
        second.Documents.AddRange(whole.Documents.Skip(30));
        sum.Documents.Clear();
        sum.MomentsOf.Add([(await Mesh.Mapping.RunJobAsync(first, Ct)).Id, (await Mesh.Mapping.RunJobAsync(second, Ct)).Id]);
        var (one, other) = (await Mesh.Mapping.RunJobAsync(whole, Ct), await Mesh.Mapping.RunJobAsync(sum, Ct));

        Assert.Equal((JobState.Succeeded, ""), (other.State, other.Error));
        Assert.Equal((one.Rows, one.DocumentsDone), (other.Rows, other.DocumentsDone));
        Assert.Equal(one.Result.Metrics.Lambda, other.Result.Metrics.Lambda);
        Assert.Equal(one.Result.Metrics.R2, other.Result.Metrics.R2, 5);
        Assert.Equal(one.Result.Metrics.Cosine, other.Result.Metrics.Cosine, 5);
    }

    [Fact]
    public async Task A_map_of_windows_is_fitted_on_means_over_neighbouring_tokens()
    {
        var request = Job("windows/4");
        request.Fit.Window = 4;
        request.KeepMoments = true;
        var job = await Mesh.Mapping.RunJobAsync(request, Ct);

        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        var metrics = job.Result.Metrics;
        Assert.Equal((4u, metrics.SourceTokens), (metrics.Window, metrics.PairedTokens));
        Assert.Equal(metrics.Rows + metrics.HeldOutRows, job.Rows);
        Assert.InRange((double)metrics.PairedTokens / job.Rows, 3, 5);

        var other = Job("windows/8");
        other.Documents.Clear();
        other.Fit.Window = 8;
        other.MomentsOf.Add(job.Id);
        var failed = await Mesh.Mapping.RunJobAsync(other, Ct);
        Assert.Equal(JobState.Failed, failed.State);
        Assert.Contains("fit.window", failed.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Models_of_different_tokenizers_pair_where_tokens_end_alike()
    {
        var request = Job("across");
        request.Source = new LayerRef { Model = "stranger", Layer = 1 };
        var job = await Mesh.Mapping.RunJobAsync(request, Ct);

        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        Assert.InRange(job.Rows, 1ul, job.Tokens["target"] - 1);
        Assert.NotEqual(job.Tokens["stranger"], job.Tokens["target"]);
        Assert.Equal((job.Tokens["stranger"], job.Tokens["target"]), (job.Result.Metrics.SourceTokens, job.Result.Metrics.TargetTokens));
    }

    [Fact]
    public async Task A_job_that_is_late_fails()
    {
        var request = Job("late", documents: 20_000);
        request.TimeLimit = Google.Protobuf.WellKnownTypes.Duration.FromTimeSpan(TimeSpan.FromSeconds(1));
        var job = await Mesh.Mapping.RunJobAsync(request, Ct);

        Assert.Equal(JobState.Failed, job.State);
        Assert.Contains("time limit", job.Error, StringComparison.Ordinal);
    }

    private static CreateMapJobRequest Job(string name, int documents = 60) => new()
    {
        Map = name,
        Source = new LayerRef { Model = "source", Layer = 1 },
        Target = new LayerRef { Model = "target", Layer = 2 },
        Documents = { TinyCheckpoint.Texts(documents).Select(text => new Document { Text = text }) },
        Fit = new FitOptions { ShuffledControl = true },
    };

    private static PutVectorRequest Given(string name, string model, uint layer, float[] elements) => new()
    {
        Vector = new Vector { Name = name, Model = model, Layer = layer, Provenance = new VectorProvenance { Method = VectorMethod.Given } },
        Elements = MeshCalls.Elements(elements),
    };
}

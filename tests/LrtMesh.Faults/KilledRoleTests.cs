using System.Diagnostics;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.TestKit;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>A role is killed while it streams, and started again; beside it a map job runs, which needs all three.</summary>
public sealed class KilledRoleTests(FaultTable table, FaultMesh mesh) : FaultTests(table, mesh)
{
    private const int Streams = 16;
    private const int Tokens = 1000; // of a stream of generation
    private const int Batches = 2000; // of a stream of states
    private const string Promised = "streams end with UNAVAILABLE; a client that tries again gets all of its answer; a map job goes on, over the same rows";

    private static readonly string[] Texts = [.. TinyCheckpoint.Texts(8)];

    [Fact]
    public Task Generation_is_killed() => KilledAsync("generation", Mesh.Generation, async began =>
    {
        var tokens = 0;
        await foreach (var part in Mesh.Client.GenerateAsync(FaultMesh.Request(Tokens), cancellation: Ct))
        {
            tokens += part.Text?.TokenIds.Count ?? 0;
            if (tokens > 0)
            {
                began();
            }
        }

        return tokens == Tokens;
    });

    [Fact]
    public Task Extraction_is_killed() => KilledAsync("extraction", Mesh.Extraction, async began =>
    {
        var texts = 0;
        var spec = new ExtractionSpec { Model = "source", Layers = { 1 } };
        await foreach (var block in Mesh.Client.ExtractionRole.Extraction.ReadHiddenStatesAsync(spec, Enumerable.Repeat(new TextBatch { Texts = { Texts } }, Batches / Streams), cancellation: Ct))
        {
            texts += block.Labels.Sequence.Distinct().Count();
            began();
        }

        return texts == Texts.Length * (Batches / Streams);
    });

    [Fact]
    public Task Mapping_is_killed() => KilledAsync("mapping", Mesh.Mapping, async began =>
    {
        const int Rows = 2000;
        using var call = Mesh.Client.Mapping.StreamMap(cancellationToken: Ct);
        await call.RequestStream.WriteAsync(new() { Spec = new() { Map = "m" } }, Ct);
        var mapped = 0;
        for (; mapped < Rows; mapped++)
        {
            await call.RequestStream.WriteAsync(new() { Rows = Core.Tensors.TensorCodec.Encode(new float[FaultMesh.SourceWidth], 1, FaultMesh.SourceWidth) }, Ct);
            if (!await call.ResponseStream.MoveNext(Ct))
            {
                break;
            }

            began();
        }

        await call.RequestStream.CompleteAsync();
        return mapped == Rows && !await call.ResponseStream.MoveNext(Ct);
    });

    /// <param name="name">The role's name.</param>
    /// <param name="role">Its process.</param>
    /// <param name="readAsync">Reads a stream, says when it has begun, and tells whether it was whole.</param>
    private Task KilledAsync(string name, RoleProcess role, Func<Action, Task<bool>> readAsync) => Table.RunAsync($"SIGKILL of {name} in mid-stream", Promised, async () =>
    {
        var kills = FaultTable.Size(1, 5);
        var undisturbed = await JobEndedAsync(await JobStartedAsync("undisturbed"));
        var (firstTries, notWhole, jobs, restart) = (new Endings(), 0, 0, TimeSpan.Zero);
        for (var kill = 0; kill < kills; kill++)
        {
            var job = await JobStartedAsync("killed");
            var begun = Enumerable.Range(0, Streams).Select(_ => new TaskCompletionSource()).ToArray();
            var streams = begun.Select(async start =>
            {
                var whole = false;
                if (await firstTries.CountAsync(async () => whole = await ReadAsync()) != StatusCode.OK)
                {
                    whole = await FaultMesh.RetryAsync(ReadAsync);
                }

                return whole;

                async Task<bool> ReadAsync()
                {
                    try
                    {
                        return await readAsync(() => start.TrySetResult());
                    }
                    catch (Exception e) when (e is IOException or InvalidOperationException)
                    {
                        throw new RpcException(new(StatusCode.Internal, e.Message)); // not a status, as a client should get
                    }
                }
            }).ToArray();
            await Task.WhenAll(begun.Select(start => start.Task)).WaitAsync(TimeSpan.FromMinutes(2), Ct);
            await role.KillAsync();
            var clock = Stopwatch.StartNew();
            await role.StartAsync();
            restart = clock.Elapsed;
            notWhole += (await Task.WhenAll(streams)).Count(whole => !whole);
            var ended = await JobEndedAsync(job);
            jobs += ended.State == JobState.Succeeded && ended.Rows == undisturbed.Rows ? 1 : 0;
        }

        return new(
            kills,
            $"of {firstTries.Total} streams, as they were killed: {firstTries}; serving again after {restart.TotalSeconds:F1} s; {firstTries.Total - notWhole} whole when tried again; {jobs} of {kills} jobs succeeded",
            notWhole + kills - jobs,
            notWhole == 0 && jobs == kills && undisturbed.State == JobState.Succeeded
                && firstTries[StatusCode.Unavailable] + firstTries[StatusCode.OK] == firstTries.Total && firstTries[StatusCode.Unavailable] > 0);
    });

    /// <summary>A job that has read some, and has more to read.</summary>
    private async Task<string> JobStartedAsync(string map)
    {
        var job = (await Mesh.Client.Mapping.CreateMapJobAsync(
            new()
            {
                Map = map,
                Source = new() { Model = "source", Layer = 1 },
                Target = new() { Model = "target", Layer = 2 },
                Documents = { TinyCheckpoint.Texts(8_000).Select(text => new Document { Text = text }) },
            },
            cancellationToken: Ct)).Job;
        while (job.DocumentsDone == 0)
        {
            await Task.Delay(20, Ct);
            job = (await Mesh.Client.Mapping.GetMapJobAsync(new() { Id = job.Id }, cancellationToken: Ct)).Job;
        }

        return job.Id;
    }

    private Task<MapJob> JobEndedAsync(string id) => FaultMesh.RetryAsync(() => Mesh.Client.Mapping.EndedAsync(id, Ct));
}

using System.Diagnostics;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>More calls than a role can serve, and calls that nobody waits for any more.</summary>
public sealed class OverloadTests(FaultTable table, FaultMesh mesh) : FaultTests(table, mesh)
{
    private const int Tokens = 96; // of a request
    private const double MostGrowth = 1.15; // of memory, over the last third of the overload

    [Fact]
    public Task Ten_times_too_many_requests() => Table.RunAsync(
        $"10× overload of generation for {FaultTable.Size(10, 60)} s",
        "what is not taken is RESOURCE_EXHAUSTED with the time after which to try again; what is taken completes; memory is flat",
        async () =>
        {
            var capacity = await CapacityAsync();
            var seconds = FaultTable.Size(10.0, 60.0);
            var (endings, broken, withoutHint, memory) = (new Endings(), 0, 0, new List<(double At, long Bytes)>());
            await Task.WhenAll(await FloodAsync(10)); // a first flood takes memory that later ones use again
            (endings, broken, withoutHint, memory) = (new(), 0, 0, []);
            var clock = Stopwatch.StartNew();
            var calls = await FloodAsync(seconds);
            var offered = calls.Count / clock.Elapsed.TotalSeconds;
            await Task.WhenAll(calls);
            memory.Add((clock.Elapsed.TotalSeconds, Mesh.Generation.Resident));
            var took = clock.Elapsed;
            // The queue fills at once; what grows at the end grows with what is refused.
            long Most(double from, double to) => memory.Where(sample => sample.At >= from * seconds && sample.At <= to * seconds).Select(sample => sample.Bytes).DefaultIfEmpty().Max(); // a sample may be late
            var (early, late) = (Most(0, 0.7), Most(0.7, double.MaxValue));
            var idle = await Mesh.Generation.IdleAsync();
            return new(
                calls.Count,
                $"{capacity:F0} requests a second served at rest, {offered:F0} offered for {seconds:F0} s: {endings}; {withoutHint} refused without a time; {broken} taken and not complete; all ended after {took.TotalSeconds:F0} s; memory at most {string.Join(", ", Enumerable.Range(0, 10).Select(tenth => Megabytes(Most(tenth / 10.0, (tenth + 1) / 10.0))))} in its tenths, {Megabytes(late)} at its end and after; {idle} still running",
                broken,
                offered > 9 * capacity && broken == 0 && withoutHint == 0 && idle == 0 && late < MostGrowth * early
                    && endings[StatusCode.ResourceExhausted] > 0 && endings[StatusCode.OK] > 0 && endings[StatusCode.OK] + endings[StatusCode.ResourceExhausted] == endings.Total);

            async Task<List<Task>> FloodAsync(double length)
            {
                var (sent, elapsed) = (new List<Task>(), Stopwatch.StartNew());
                while (elapsed.Elapsed.TotalSeconds < length)
                {
                    for (var due = (int)(10 * capacity * elapsed.Elapsed.TotalSeconds); sent.Count < due;)
                    {
                        sent.Add(Task.Run(() => endings.CountAsync(AskAsync), Ct));
                    }

                    memory.Add((elapsed.Elapsed.TotalSeconds, Mesh.Generation.Resident));
                    await Task.Delay(20, Ct);
                }

                return sent;
            }

            async Task AskAsync()
            {
                try
                {
                    if ((await Mesh.Client.Generation.AnswerAsync(FaultMesh.Request(Tokens), Ct)).Ids.Count != Tokens)
                    {
                        Interlocked.Increment(ref broken);
                    }
                }
                catch (RpcException e) when (e.StatusCode == StatusCode.ResourceExhausted)
                {
                    if (CallError.From(e).RetryAfter is null)
                    {
                        Interlocked.Increment(ref withoutHint);
                    }

                    throw;
                }
            }
        });

    [Fact]
    public Task Calls_are_cancelled() => Table.RunAsync(
        "1,000 cancels",
        "each ends as CANCELLED or whole, or as UNAVAILABLE or RESOURCE_EXHAUSTED where Kestrel's guard against resets steps in; none goes on in the role, no tensor stays, and the next call is served",
        () => GivenUpAsync(StatusCode.Cancelled, async random =>
        {
            using var cancel = CancellationTokenSource.CreateLinkedTokenSource(Ct);
            cancel.CancelAfter(random.Next(1, 200));
            await Mesh.Client.Generation.AnswerAsync(FaultMesh.Request(500), cancel.Token);
        }));

    [Fact]
    public Task Deadlines_pass() => Table.RunAsync(
        "deadline storm",
        "each ends as DEADLINE_EXCEEDED or whole, or as UNAVAILABLE or RESOURCE_EXHAUSTED where Kestrel's guard against resets steps in; none goes on in the role, no tensor stays, and the next call is served",
        () => GivenUpAsync(StatusCode.DeadlineExceeded, async random =>
        {
            using var call = Mesh.Client.Generation.Generate(FaultMesh.Request(500), deadline: DateTime.UtcNow.AddMilliseconds(random.Next(1, 200)), cancellationToken: Ct);
            while (await call.ResponseStream.MoveNext(Ct))
            {
                // Until its deadline.
            }
        }));

    private async Task<Outcome> GivenUpAsync(StatusCode expected, Func<Random, Task> callAsync)
    {
        var (count, atOnce, next, endings) = (FaultTable.Size(1_000, 20_000), 64, -1, new Endings());
        await Mesh.Client.Generation.AnswerAsync(FaultMesh.Request(500), Ct);
        await Mesh.Generation.IdleAsync();
        var tensors = await Mesh.Generation.MetricAsync("lrtmesh_tensor_live");
        var slowest = 0.0;
        await Task.WhenAll(Enumerable.Range(0, atOnce).Select(worker => Task.Run(
            async () =>
            {
                var random = new Random(worker);
                while (Interlocked.Increment(ref next) < count)
                {
                    var clock = Stopwatch.StartNew();
                    await endings.CountAsync(() => callAsync(random));
                    InterlockedMax(ref slowest, clock.Elapsed.TotalSeconds);
                }
            },
            Ct)));
        var busy = await Mesh.Generation.IdleAsync();
        var whole = (await Mesh.Client.Generation.AnswerAsync(FaultMesh.Request(500), Ct)).Ids.Count == 500;
        await Mesh.Generation.IdleAsync();
        var left = await Mesh.Generation.MetricAsync("lrtmesh_tensor_live") - tensors;
        return new(
            count,
            $"{endings}{endings.Detail(StatusCode.Unavailable)}{endings.Detail(StatusCode.Internal)}; the slowest to end took {slowest:F1} s; then {busy} running or waiting in the role, {left:+0;-0;0} live tensors; the next answer is {(whole ? "whole" : "not whole")}",
            (int)busy,
            endings[expected] > count * 0.9 && endings[expected] + endings[StatusCode.OK] + endings[StatusCode.Unavailable] + endings[StatusCode.ResourceExhausted] == count && busy == 0 && left <= 0 && whole);
    }

    /// <summary>Requests a second of as many clients as the running batch has places for.</summary>
    private async Task<double> CapacityAsync()
    {
        await Mesh.Client.Generation.AnswerAsync(FaultMesh.Request(Tokens), Ct);
        await RoundAsync();
        var clock = Stopwatch.StartNew();
        await RoundAsync();
        return 128 / clock.Elapsed.TotalSeconds;

        Task RoundAsync() => Task.WhenAll(Enumerable.Range(0, 128).Select(_ => Mesh.Client.Generation.AnswerAsync(FaultMesh.Request(Tokens), Ct)));
    }

    private static void InterlockedMax(ref double target, double value)
    {
        for (var seen = Volatile.Read(ref target); value > seen;)
        {
            var before = Interlocked.CompareExchange(ref target, value, seen);
            if (before.Equals(seen))
            {
                return;
            }

            seen = before;
        }
    }
}

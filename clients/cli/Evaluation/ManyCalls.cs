using Grpc.Core;

namespace LrtMesh.Cli.Evaluation;

/// <summary>Many calls at once, as many as keep a role's batches full.</summary>
internal static class ManyCalls
{
    private const int Concurrency = 128;
    private const int BusyAttempts = 20;

    /// <summary>The answers, in the order of the items.</summary>
    /// <param name="prompt">What the role reads for an item.</param>
    /// <param name="report">Takes (done, total).</param>
    public static async Task<TResult[]> RunAsync<T, TResult>(IReadOnlyList<T> items, Func<T, string> prompt, Func<T, Task<TResult>> call, Action<long, long> report, CancellationToken cancellation)
    {
        var results = new TResult[items.Count];
        long done = 0;
        var options = new ParallelOptions { MaxDegreeOfParallelism = Concurrency, CancellationToken = cancellation };
        // Prompts of about equal length go together: the server reads those that arrive together as one padded batch.
        int[] order = [.. Enumerable.Range(0, items.Count).OrderBy(i => prompt(items[i]).Length)];
        await Parallel.ForAsync(0, items.Count, options, async (n, _) =>
        {
            int i = order[n];
            results[i] = await call(items[i]);
            report(Interlocked.Increment(ref done), items.Count);
        });
        return results;
    }

    /// <summary>Calls again while the role's queue is full, which it says at once; the answer is the same whenever it comes.</summary>
    public static async Task<T> WhenFreeAsync<T>(Func<Task<T>> call, CancellationToken cancellation)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await call();
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.ResourceExhausted && attempt < BusyAttempts)
            {
                var asked = e.GetRpcStatus()?.GetDetail<Google.Rpc.RetryInfo>()?.RetryDelay?.ToTimeSpan();
                await Task.Delay(asked ?? TimeSpan.FromMilliseconds(50 * attempt), cancellation);
            }
        }
    }
}

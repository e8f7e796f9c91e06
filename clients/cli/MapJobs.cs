using Grpc.Core;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli;

/// <summary>Jobs that fit maps: started, watched to their end, and cancelled with the command.</summary>
internal static class MapJobs
{
    private const int Parts = 100; // of a job's progress, where its documents have not been counted
    private const int WatchAttempts = 5;
    private static readonly TimeSpan CancelPatience = TimeSpan.FromSeconds(5);

    /// <summary>Runs a job with a display of its progress.</summary>
    /// <returns>The job, which has succeeded.</returns>
    /// <exception cref="CommandException">The job failed or was cancelled elsewhere.</exception>
    public static async Task<MapJob> RunAsync(Terminal terminal, MappingService.MappingServiceClient mapping, CreateMapJobRequest request, CancellationToken cancellation)
    {
        request.RequestId = Guid.NewGuid().ToString("N");
        string what = request.MomentsOf.Count > 0 ? $"adding up the moments of {request.MomentsOf.Count} jobs"
            : request.Texts is { } texts ? $"reading {texts.Path} in all models"
            : $"reading {request.Documents.Count} documents in all models";
        var job = await terminal.ProgressAsync(what, report => RunAsync(mapping, request, Report(report), cancellation));
        Print(terminal.Out, job);
        return job;
    }

    /// <summary>What a job has left out, which is nothing as a rule.</summary>
    private static void Print(IAnsiConsole console, MapJob job)
    {
        if (job.LeftOutMessages > 0)
        {
            console.MarkupLineInterpolated($"[yellow]{job.LeftOutMessages} messages of chats are left out: a model's chat template does not write their contents as they are.[/]");
        }

        if (job.RefusedRows > 0)
        {
            console.MarkupLineInterpolated($"[yellow]{job.RefusedRows} rows are left out: numbers in them are not finite, or beyond 1e15.[/]");
        }

        // A map says this itself, of its own two models.
        ulong paired = job.Rows + job.RefusedRows;
        foreach (var (model, tokens) in job.Tokens.Where(read => job.Maps.Count == 0 && read.Value > paired).OrderBy(read => read.Key, StringComparer.Ordinal))
        {
            console.MarkupLineInterpolated($"paired {(double)paired / tokens:0.0%} of the tokens of {model}");
        }
    }

    private static Action<MapJob> Report(Action<long, long> report) => job =>
    {
        if (job.DocumentsTotal > 0)
        {
            report((long)job.DocumentsDone, (long)job.DocumentsTotal);
        }
        else
        {
            report((long)(job.Progress * Parts), job.Progress > 0 ? Parts : 0);
        }
    };

    /// <summary>Starts a job and follows it to its end; a broken watch resumes. Cancelling cancels the job.</summary>
    /// <param name="onChange">Takes each state of the job.</param>
    /// <returns>The job, which has succeeded.</returns>
    /// <exception cref="CommandException">The job failed or was cancelled elsewhere.</exception>
    private static async Task<MapJob> RunAsync(MappingService.MappingServiceClient mapping, CreateMapJobRequest request, Action<MapJob> onChange, CancellationToken cancellation)
    {
        var job = (await mapping.CreateMapJobAsync(request, Mesh.Long(cancellation))).Job;
        try
        {
            job = await WatchAsync(mapping, job, onChange, cancellation);
        }
        catch when (cancellation.IsCancellationRequested)
        {
            await CancelAsync(mapping, job.Id);
            throw;
        }

        return job.State == JobState.Succeeded
            ? job
            : throw new CommandException(job.State == JobState.Failed ? $"Job {job.Id} failed: {job.Error}" : $"Job {job.Id} was cancelled.");
    }

    private static async Task<MapJob> WatchAsync(MappingService.MappingServiceClient mapping, MapJob job, Action<MapJob> onChange, CancellationToken cancellation)
    {
        onChange(job);
        int attempt = 0;
        while (!HasEnded(job))
        {
            try
            {
                using var watch = mapping.WatchMapJob(new WatchMapJobRequest { Id = job.Id, AfterRevision = job.Revision }, cancellationToken: cancellation);
                await foreach (var response in watch.ResponseStream.ReadAllAsync(cancellation))
                {
                    job = response.Job;
                    onChange(job);
                    attempt = 0;
                }
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.Unavailable or StatusCode.Internal or StatusCode.Cancelled && !cancellation.IsCancellationRequested && attempt < WatchAttempts)
            {
                // The job goes on without us.
            }

            if (!HasEnded(job))
            {
                attempt++;
                if (attempt > WatchAttempts)
                {
                    throw new CommandException($"The watch of job {job.Id} ends again and again before the job does.", "The job may still be running on the mesh.");
                }

                await Task.Delay(TimeSpan.FromMilliseconds(200 * (1 << attempt)), cancellation);
            }
        }

        return job;
    }

    private static bool HasEnded(MapJob job) => job.State is JobState.Succeeded or JobState.Failed or JobState.Cancelled;

    private static async Task CancelAsync(MappingService.MappingServiceClient mapping, string id)
    {
        try
        {
            await mapping.CancelMapJobAsync(new CancelMapJobRequest { Id = id }, deadline: DateTime.UtcNow + CancelPatience);
        }
        catch (RpcException)
        {
            // On Ctrl+C a mesh of our own may be gone already, and its job with it.
        }
    }
}

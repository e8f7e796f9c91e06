using System.Diagnostics;
using System.Diagnostics.Metrics;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>How many jobs come, wait, run and end, and how.</summary>
internal static class JobMetrics
{
    private static readonly Meter Meter = new("LrtMesh.Jobs");
    private static readonly Counter<long> Created = Meter.CreateCounter<long>("lrtmesh.jobs.created", "{job}", "Jobs created, or asked for again under the same request id.");
    private static readonly Counter<long> Taken = Meter.CreateCounter<long>("lrtmesh.jobs.taken", "{job}", "Times that this role took up a job, its own or one that another worker left.");
    private static readonly UpDownCounter<long> Running = Meter.CreateUpDownCounter<long>("lrtmesh.jobs.running", "{job}", "Jobs that this role is at.");
    private static long _open;

    private static readonly Histogram<double> Duration = Meter.CreateHistogram(
        "lrtmesh.job.duration", "s", "From a job's creation to its end, by the state in which it ended.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [1, 5, 15, 60, 300, 900, 3600, 14400, 43200] });

    static JobMetrics()
    {
        Meter.CreateObservableGauge("lrtmesh.jobs.open", () => Volatile.Read(ref _open), "{job}", "Jobs in the store that have not ended, of all roles: each tells the same number.");
        // An increase from nothing would be none to Prometheus.
        Created.Add(0);
        Taken.Add(0);
        Running.Add(0);
    }

    /// <summary>A job was created.</summary>
    public static void WasCreated() => Created.Add(1);

    /// <summary>A worker begins a job.</summary>
    public static void Begins()
    {
        Taken.Add(1);
        Running.Add(1);
    }

    /// <summary>A worker lets go of it.</summary>
    public static void LetsGo() => Running.Add(-1);

    /// <summary>A job has ended.</summary>
    public static void Ended(MapJob job) => Duration.Record(
        (DateTime.UtcNow - job.CreatedAt.ToDateTime()).TotalSeconds, new TagList { { "lrtmesh.job.state", $"{job.State}" } });

    /// <summary>How many the store has that have not ended.</summary>
    public static void Open(long jobs) => Volatile.Write(ref _open, jobs);
}

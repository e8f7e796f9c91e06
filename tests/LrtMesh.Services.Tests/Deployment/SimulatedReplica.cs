namespace LrtMesh.Services.Tests.Deployment;

/// <summary>What one replica can do.</summary>
/// <param name="Cpus">Request and limit.</param>
/// <param name="StartSeconds">From its start until it is ready: its model is loaded.</param>
/// <param name="CpuSeconds">Of the processor, that a request takes.</param>
/// <param name="Seconds">That a request takes which does not wait.</param>
/// <param name="AtOnce">Requests that it is at, at most; the others wait.</param>
internal sealed record SimulatedReplica(double Cpus, int StartSeconds, double CpuSeconds, double Seconds = 0, int AtOnce = int.MaxValue)
{
    /// <summary>Requests that it works off in a second, at most.</summary>
    public double Rate => Math.Min(Cpus / CpuSeconds, AtOnce / Seconds);
}

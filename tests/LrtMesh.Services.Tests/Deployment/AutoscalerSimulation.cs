using k8s.Models;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>
/// What Kubernetes makes of a HorizontalPodAutoscaler that goes by CPU, second by second: the algorithm as its documentation has it (ratio with a tolerance, replicas that are not
/// ready, stabilization windows, policies), over replicas that work off what is asked of them and keep the rest waiting.
/// </summary>
/// <param name="scaler">The rules.</param>
/// <param name="cpus">Of a replica, request and limit.</param>
/// <param name="startSeconds">From a replica's start until it is ready: its model is loaded.</param>
internal sealed class AutoscalerSimulation(V2HorizontalPodAutoscalerSpec scaler, double cpus, int startSeconds)
{
    private const int SyncSeconds = 15; // the controller's default
    private const double Tolerance = 0.1; // likewise

    private readonly List<int> _started = [.. Enumerable.Repeat(int.MinValue / 2, scaler.MinReplicas!.Value)]; // one entry a replica: when
    private readonly List<(int Second, int Wish)> _wishes = [(0, scaler.MinReplicas.Value)]; // the first is what is there
    private readonly List<(int Second, int By)> _changes = [];

    /// <summary>How many replicas there are from which second on.</summary>
    public List<(int Second, int Replicas)> Replicas { get; } = [(0, scaler.MinReplicas!.Value)];

    /// <summary>CPU-seconds of work that wait, at the end of each second.</summary>
    public List<double> Waiting { get; } = [];

    /// <summary>Runs for some seconds.</summary>
    /// <param name="seconds">How many.</param>
    /// <param name="asked">CPU-seconds of work that come in a second.</param>
    public void Run(int seconds, Func<int, double> asked)
    {
        var used = 0.0; // CPU-seconds since the last look
        for (var second = 0; second < seconds; second++)
        {
            var work = (Waiting.Count == 0 ? 0 : Waiting[^1]) + asked(second);
            var done = Math.Min(work, Ready(second) * cpus);
            Waiting.Add(work - done);
            used += done;
            if (second % SyncSeconds == SyncSeconds - 1)
            {
                Look(second, used / (SyncSeconds * Ready(second) * cpus));
                used = 0;
            }
        }
    }

    private int Ready(int second) => _started.Count(start => second - start >= startSeconds);

    private void Look(int second, double utilization)
    {
        _wishes.Add((second, Wish(Ready(second), utilization / (scaler.Metrics.Single().Resource.Target.AverageUtilization!.Value / 100.0))));
        var (up, down, now) = (scaler.Behavior.ScaleUp, scaler.Behavior.ScaleDown, _started.Count);
        var least = Within(up).Min(wish => wish.Wish);
        var most = Within(down).Max(wish => wish.Wish);
        var (upPolicy, downPolicy) = (up.Policies.Single(), down.Policies.Single());
        var next = now < least ? Math.Min(least, now - Since(upPolicy, change => change > 0) + upPolicy.Value)
            : now > most ? Math.Max(most, now - Since(downPolicy, change => change < 0) - downPolicy.Value)
            : now;
        next = Math.Clamp(next, scaler.MinReplicas!.Value, scaler.MaxReplicas);
        if (next == now)
        {
            return;
        }

        _changes.Add((second, next - now));
        Replicas.Add((second, next));
        _started.AddRange(Enumerable.Repeat(second, Math.Max(0, next - now)));
        _started.RemoveRange(next, _started.Count - next); // the newest go first

        IEnumerable<(int Second, int Wish)> Within(V2HPAScalingRules rules) => _wishes.Where(wish => second - wish.Second <= rules.StabilizationWindowSeconds);
        int Since(V2HPAScalingPolicy policy, Predicate<int> direction) =>
            _changes.Where(change => second - change.Second < policy.PeriodSeconds && direction(change.By)).Sum(change => change.By);
    }

    /// <summary>Replicas by what those that are ready use; others count as idle where more are wished for, and a wish that turns round by that is none.</summary>
    private int Wish(int ready, double ratio)
    {
        var now = _started.Count;
        if (Math.Abs(ratio - 1) <= Tolerance)
        {
            return now;
        }

        if (ratio < 1 || ready == now)
        {
            return (int)Math.Ceiling(ratio * ready);
        }

        var withIdle = ratio * ready / now;
        return withIdle <= 1 + Tolerance ? now : (int)Math.Ceiling(withIdle * now);
    }
}

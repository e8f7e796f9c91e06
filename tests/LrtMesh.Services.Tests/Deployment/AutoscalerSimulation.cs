using k8s.Models;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>
/// What Kubernetes makes of an autoscaler, second by second: the algorithm as its documentation has it (ratios with a tolerance, of several metrics the one that wishes for most, replicas
/// that are not ready, stabilization windows, policies), over replicas that work off what is asked of them and keep the rest waiting. Metrics are of the very moment: nothing is lost
/// between a role, Prometheus and the autoscaler.
/// </summary>
/// <param name="rules">The rules.</param>
/// <param name="replica">What each replica can do.</param>
internal sealed class AutoscalerSimulation(ScalingRules rules, SimulatedReplica replica)
{
    private const int SyncSeconds = 15; // the controller's default
    private const double Tolerance = 0.1; // likewise

    private readonly List<int> _started = [.. Enumerable.Repeat(int.MinValue / 2, rules.Least)]; // one entry a replica: when
    private readonly List<(int Second, int Wish)> _wishes = [(0, rules.Least)]; // the first is what is there
    private readonly List<(int Second, int By)> _changes = [];

    /// <summary>How many replicas there are from which second on.</summary>
    public List<(int Second, int Replicas)> Replicas { get; } = [(0, rules.Least)];

    /// <summary>Requests that wait, at the end of each second.</summary>
    public List<double> Waiting { get; } = [];

    /// <summary>Runs for some seconds.</summary>
    /// <param name="seconds">How many.</param>
    /// <param name="asked">Requests that come in a second.</param>
    public void Run(int seconds, Func<int, double> asked)
    {
        var used = 0.0; // CPU-seconds since the last look
        for (var second = 0; second < seconds; second++)
        {
            var open = (Waiting.Count == 0 ? 0 : Waiting[^1]) + asked(second);
            var done = Math.Min(open, Ready(second) * replica.Rate);
            Waiting.Add(open - done);
            used += done * replica.CpuSeconds;
            if (second % SyncSeconds == SyncSeconds - 1)
            {
                Look(second, used / (SyncSeconds * Ready(second) * replica.Cpus), Waiting[^1] + (done * replica.Seconds));
                used = 0;
            }
        }
    }

    private int Ready(int second) => _started.Count(start => second - start >= replica.StartSeconds);

    private void Look(int second, double utilization, double inHand)
    {
        _wishes.Add((second, Math.Max(Wish(Ready(second), utilization / (rules.CpuPercent / 100.0)), WishByRequests(inHand))));
        var (up, down, now) = (rules.Behavior.ScaleUp, rules.Behavior.ScaleDown, _started.Count);
        var least = Within(up).Min(wish => wish.Wish);
        var most = Within(down).Max(wish => wish.Wish);
        var (upPolicy, downPolicy) = (up.Policies.Single(), down.Policies.Single());
        var next = now < least ? Math.Min(least, now - Since(upPolicy, change => change > 0) + upPolicy.Value)
            : now > most ? Math.Max(most, now - Since(downPolicy, change => change < 0) - downPolicy.Value)
            : now;
        next = Math.Clamp(next, rules.Least, rules.Most);
        if (next == now)
        {
            return;
        }

        _changes.Add((second, next - now));
        Replicas.Add((second, next));
        _started.AddRange(Enumerable.Repeat(second, Math.Max(0, next - now)));
        _started.RemoveRange(next, _started.Count - next); // the newest go first

        IEnumerable<(int Second, int Wish)> Within(V2HPAScalingRules direction) => _wishes.Where(wish => second - wish.Second <= direction.StabilizationWindowSeconds);
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

    /// <summary>Replicas by what all of them have in hand, ready or not.</summary>
    private int WishByRequests(double inHand)
    {
        if (rules.InHand is not { } each)
        {
            return 0;
        }

        return Math.Abs((inHand / (each * _started.Count)) - 1) <= Tolerance ? _started.Count : (int)Math.Ceiling(inHand / each);
    }
}

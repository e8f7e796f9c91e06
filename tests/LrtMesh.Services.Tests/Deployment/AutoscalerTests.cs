using k8s;
using k8s.Models;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>What replica counts follow from the autoscalers' rules, and when: the figures of docs/deploy.md.</summary>
public sealed class AutoscalerTests
{
    private const double CpusOfReplica = 8; // overlays/production/sizes.yaml, generation
    private const int StartSeconds = 60;
    private const double CpuSecondsOfRequest = 0.008; // 32 tokens of tiny-large: docs/speed.md, `bench serve`
    private const int Minute = 60;
    private const double Slower = 10;

    private static readonly SimulatedReplica Replica = new(CpusOfReplica, StartSeconds, CpuSecondsOfRequest);

    [Fact]
    public async Task Four_times_the_load_is_met_within_minutes_and_given_back_one_by_one()
    {
        // 1,000 requests a second, from minute 10 to 70 4,000, then 1,000 again.
        var simulation = await SimulateAsync("generation", 180 * Minute, second => second is >= 10 * Minute and < 70 * Minute ? 4000 : 1000);
        Assert.Equal([(0, 2), (674, 3), (809, 5), (944, 7), (1079, 8), (1709, 7), (2009, 6), (4814, 5), (5114, 4), (5414, 3), (5714, 2)], simulation.Replicas);
        Assert.Equal(1092, simulation.Waiting.FindLastIndex(waiting => waiting > 0));
        Assert.Equal(403_000, simulation.Waiting.Max(), 1000.0);
    }

    [Theory]
    [InlineData("extraction")]
    [InlineData("mapping")]
    [InlineData("generation")]
    public async Task A_peak_that_is_worked_off_within_a_minute_and_a_load_that_sways_start_nothing(string role)
    {
        Assert.Single((await SimulateAsync(role, 30 * Minute, second => second is >= 600 and < 615 ? 4000 : 1000)).Replicas);
        Assert.Single((await SimulateAsync(role, 30 * Minute, second => second / 20 % 2 == 0 ? 1900 : 600)).Replicas);
    }

    [Theory]
    [InlineData("extraction", 8)]
    [InlineData("mapping", 4)]
    [InlineData("generation", 8)]
    public async Task No_load_starts_more_than_may_be(string role, int most)
    {
        var simulation = await SimulateAsync(role, 120 * Minute, _ => 100_000);
        Assert.Equal(most, simulation.Replicas[^1].Replicas);
        Assert.All(simulation.Replicas.Zip(simulation.Replicas.Skip(1)), change => Assert.InRange(change.Second.Replicas - change.First.Replicas, 1, 2));
    }

    /// <summary>
    /// tests/load/recorded.csv: one replica of each role, ten minutes of load that rises and falls. Here ten times as slow, since rules count in minutes, and more of it, since replicas are larger.
    /// </summary>
    [Theory]
    [InlineData("autoscaling", "2, 44:3, 47:5, 54:6, 69:5, 74:4, 93:3, 98:2", 12_811)]
    [InlineData("keda", "2, 23:3, 26:4, 31:5, 33:6, 33:7, 47:8, 75:7, 93:6, 98:5, 103:4, 108:3, 113:2", 0)]
    public async Task Recorded_requests_are_seen_sooner_in_hand_than_by_CPU(string component, string replicas, double waiting)
    {
        var load = await RecordedLoad.ReadAsync("generation_cpu_seconds", "generation_answered", "generation_running", "generation_queued");
        var simulation = await ReplayAsync(component, "generation", load, times: 24, new(CpusOfReplica, StartSeconds, load.CpuSeconds, load.Seconds));
        Assert.Equal(replicas, ByMinute(simulation));
        Assert.Equal(waiting, simulation.Waiting.Max(), 1.0);
    }

    /// <summary>Of what it has in hand, extraction tells what waits.</summary>
    [Theory]
    [InlineData("autoscaling", "2, 42:3, 45:5, 67:4, 81:3, 88:2", 2600)]
    [InlineData("keda", "2, 42:4, 45:6, 67:5, 81:4, 86:3, 91:2", 907)]
    public async Task Recorded_batches_that_wait_start_more_replicas_than_CPU_does(string component, string replicas, double waiting)
    {
        var load = await RecordedLoad.ReadAsync("extraction_cpu_seconds", "extraction_answered", "extraction_queued");
        var simulation = await ReplayAsync(component, "extraction", load, times: 16, new(Cpus: 4, StartSeconds, load.CpuSeconds));
        Assert.Equal(replicas, ByMinute(simulation));
        Assert.Equal(waiting, simulation.Waiting.Max(), 1.0);
    }

    /// <summary>A replica is at one job at a time, and mostly waits for hidden states.</summary>
    [Theory]
    [InlineData("autoscaling", "2", 78)]
    [InlineData("keda", "2, 19:4, 120:3", 47)]
    public async Task Recorded_jobs_that_wait_are_not_seen_by_CPU(string component, string replicas, double waiting)
    {
        var load = await RecordedLoad.ReadAsync("mapping_cpu_seconds", "jobs_ended", "jobs_open");
        var simulation = await ReplayAsync(component, "mapping", load, times: 2, new(Cpus: 4, StartSeconds, load.CpuSeconds, load.SecondsOneByOne, AtOnce: 1));
        Assert.Equal(replicas, ByMinute(simulation));
        Assert.Equal(waiting, simulation.Waiting.Max(), 1.0);
    }

    /// <param name="role">Whose rules.</param>
    /// <param name="seconds">How long.</param>
    /// <param name="requests">Requests that come in a second.</param>
    private static async Task<AutoscalerSimulation> SimulateAsync(string role, int seconds, Func<int, double> requests)
    {
        var simulation = new AutoscalerSimulation(ScalingRules.Of((await ReadAsync<V2HorizontalPodAutoscaler>("autoscaling", role)).Spec), Replica);
        simulation.Run(seconds, requests);
        return simulation;
    }

    /// <summary>Runs recorded load, ten times as slow.</summary>
    /// <param name="component">autoscaling or keda.</param>
    /// <param name="role">Whose rules.</param>
    /// <param name="load">What was recorded.</param>
    /// <param name="times">How many times as many requests come in a second.</param>
    /// <param name="replica">What each can do.</param>
    private static async Task<AutoscalerSimulation> ReplayAsync(string component, string role, RecordedLoad load, double times, SimulatedReplica replica)
    {
        var rules = component == "keda"
            ? ScalingRules.Of((await ReadAsync<ScaledObject>(component, role)).Spec)
            : ScalingRules.Of((await ReadAsync<V2HorizontalPodAutoscaler>(component, role)).Spec);
        var simulation = new AutoscalerSimulation(rules, replica);
        simulation.Run((int)(load.Length * Slower), second => times * load.At(second / Slower));
        return simulation;
    }

    /// <summary>"2, 44:3": two replicas, three from minute 44 on.</summary>
    private static string ByMinute(AutoscalerSimulation simulation) =>
        string.Join(", ", simulation.Replicas.Select(change => change.Second == 0 ? $"{change.Replicas}" : $"{change.Second / Minute}:{change.Replicas}"));

    private static async Task<T> ReadAsync<T>(string component, string role)
    {
        var path = Path.Combine(RepositoryRoot.Find(), "k8s", "components", component, $"{role}.yaml");
        return KubernetesYaml.Deserialize<T>(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken), strict: true);
    }
}

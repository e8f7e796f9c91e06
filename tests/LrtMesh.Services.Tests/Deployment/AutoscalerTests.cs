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

    [Fact]
    public async Task Four_times_the_load_is_met_within_minutes_and_given_back_one_by_one()
    {
        // 1,000 requests a second, from minute 10 to 70 4,000, then 1,000 again.
        var simulation = await SimulateAsync("generation", 180 * Minute, second => second is >= 10 * Minute and < 70 * Minute ? 4000 : 1000);
        Assert.Equal([(0, 2), (674, 3), (809, 5), (944, 7), (1079, 8), (1709, 7), (2009, 6), (4814, 5), (5114, 4), (5414, 3), (5714, 2)], simulation.Replicas);
        Assert.Equal(1092, simulation.Waiting.FindLastIndex(waiting => waiting > 0));
        Assert.Equal(403_000, simulation.Waiting.Max() / CpuSecondsOfRequest, 1000.0);
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

    /// <param name="role">Whose rules.</param>
    /// <param name="seconds">How long.</param>
    /// <param name="requests">Requests that come in a second.</param>
    private static async Task<AutoscalerSimulation> SimulateAsync(string role, int seconds, Func<int, double> requests)
    {
        var path = Path.Combine(RepositoryRoot.Find(), "k8s", "components", "autoscaling", $"{role}.yaml");
        var scaler = KubernetesYaml.Deserialize<V2HorizontalPodAutoscaler>(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken), strict: true);
        var simulation = new AutoscalerSimulation(scaler.Spec, CpusOfReplica, StartSeconds);
        simulation.Run(seconds, second => requests(second) * CpuSecondsOfRequest);
        return simulation;
    }
}

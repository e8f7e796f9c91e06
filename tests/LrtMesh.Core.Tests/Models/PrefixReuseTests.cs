using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.V1;
using LrtMesh.Core.Tests.Steering;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>A prompt whose start another one has read already gets the same answer and the same proof of steering.</summary>
public sealed class PrefixReuseTests : IDisposable
{
    private const int Layers = 3;
    private readonly TemporaryCheckpoint _checkpoint = new(width: 32, layers: Layers);
    private readonly LoadedModel _warm;

    public PrefixReuseTests() => _warm = LoadedModel.Load("test", _checkpoint.Folder);

    public void Dispose()
    {
        _warm.Dispose();
        _checkpoint.Dispose();
    }

    [Theory]
    [InlineData(0, PositionRule.All, SteeringOperator.Add)]
    [InlineData(1, PositionRule.All, SteeringOperator.Ablate)]
    [InlineData(1, PositionRule.Prompt, SteeringOperator.Add)]
    [InlineData(1, PositionRule.LastPromptToken, SteeringOperator.Add)]
    [InlineData(1, PositionRule.Generated, SteeringOperator.Add)]
    [InlineData(Layers - 1, PositionRule.All, SteeringOperator.Add)]
    [InlineData(Layers - 1, PositionRule.Prompt, SteeringOperator.Ablate)]
    public async Task Warm_and_cold_answers_agree(int layer, PositionRule rule, SteeringOperator steeringOperator)
    {
        var prompts = Prompts();
        var plan = await Plan(layer, rule, steeringOperator);
        foreach (var prompt in prompts)
        {
            // Unsteered and otherwise steered ones first: nothing of theirs may be found.
            await Run(_warm, prompt, SteeringPlan.None);
            await Run(_warm, prompt, await Plan(layer, rule, steeringOperator, seed: 8));
        }

        foreach (var prompt in prompts)
        {
            using var cold = LoadedModel.Load("test", _checkpoint.Folder);
            var (ids, applied) = await Run(cold, prompt, plan);
            for (var repeat = 0; repeat < 2; repeat++)
            {
                var (warmIds, warmApplied) = await Run(_warm, prompt, plan);
                Assert.Equal(ids, warmIds);
                Assert.Equal(applied.Positions, warmApplied.Positions);
                Assert.Equal(applied.MeanRelativeChange, warmApplied.MeanRelativeChange, 1e-5);
            }

            Assert.Equal((await Run(cold, prompt, SteeringPlan.None)).Ids, (await Run(_warm, prompt, SteeringPlan.None)).Ids);
        }
    }

    [Fact]
    public async Task Many_at_once_with_one_prefix_get_what_each_gets_alone()
    {
        var prompts = Prompts().SelectMany(prompt => Enumerable.Range(0, 12).Select(last => (int[])[.. prompt, last])).ToArray();
        var plan = await Plan(1, PositionRule.All, SteeringOperator.Add);
        using var cold = LoadedModel.Load("test", _checkpoint.Folder);
        var together = prompts.Select((prompt, i) => Start(_warm, prompt, i % 3 == 0 ? plan : SteeringPlan.None)).ToArray();
        for (var i = 0; i < prompts.Length; i++)
        {
            var alone = await Run(cold, prompts[i], i % 3 == 0 ? plan : SteeringPlan.None);
            Assert.Equal(alone.Ids, (await Read(together[i])).Ids);
        }
    }

    [Fact]
    public async Task Another_tenant_does_not_find_what_was_read_of_a_prompt()
    {
        var prompt = Prompts()[0];
        var none = _warm.PrefixTensors;
        var first = await RunAsync("a");
        Assert.Equal(none + 1, _warm.PrefixTensors);
        Assert.Equal(first, await RunAsync("a")); // found
        Assert.Equal(none + 1, _warm.PrefixTensors);
        Assert.Equal(first, await RunAsync("b"));
        Assert.Equal(none + 2, _warm.PrefixTensors);
        Assert.Equal(first, await RunAsync(""));
        Assert.Equal(none + 3, _warm.PrefixTensors);

        async Task<int[]> RunAsync(string tenant) => (await Read(_warm.Generate(
            new GenerationRequest(prompt, SamplingOptions.Greedy, MaxTokens: 4, IgnoreEndOfSequence: true, SteeringPlan.None) { Tenant = tenant },
            TestContext.Current.CancellationToken))).Ids;
    }

    /// <summary>Prompts that begin alike and go on differently, of several lengths.</summary>
    private static int[][] Prompts()
    {
        var random = new Random(5);
        int[] Some(int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(300))];
        var common = Some(40);
        return [[.. common, .. Some(1)], [.. common, .. Some(17)], [.. common[..20], .. Some(9)], Some(1), Some(2)];
    }

    private static Core.Models.Generation Start(LoadedModel model, int[] prompt, SteeringPlan plan) => model.Generate(
        new GenerationRequest(prompt, SamplingOptions.Greedy, MaxTokens: 8, IgnoreEndOfSequence: true, plan),
        TestContext.Current.CancellationToken);

    private static Task<(int[] Ids, Core.Models.AppliedSteering Applied)> Run(LoadedModel model, int[] prompt, SteeringPlan plan) => Read(Start(model, prompt, plan));

    private static async Task<(int[] Ids, Core.Models.AppliedSteering Applied)> Read(Core.Models.Generation generation)
    {
        var ids = await generation.Tokens.ReadAllAsync(TestContext.Current.CancellationToken).Select(token => token.Id).ToArrayAsync(TestContext.Current.CancellationToken);
        return (ids, (await generation.Outcome).Steering.SingleOrDefault()!);
    }

    private Task<SteeringPlan> Plan(int layer, PositionRule rule, SteeringOperator steeringOperator, int seed = 7)
    {
        var random = new Random(seed);
        var vector = SteeringVector.Create(
            new Vector { Name = $"v{seed}", Model = "test", ModelDigest = _warm.Description.Digest, Layer = (uint)layer },
            [.. Enumerable.Range(0, (int)_warm.Description.Width).Select(_ => (float)(random.NextDouble() - 0.5))]);
        return SteeringPlan.ResolveAsync(
            [new V1.Steering { Vector = vector.Info.Name, Coefficient = steeringOperator == SteeringOperator.Ablate ? 1 : 9, Operator = steeringOperator, Positions = rule }],
            "steering", _warm.Description, 96, Vectors.Always(vector), TestContext.Current.CancellationToken);
    }
}

using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.V1;
using LrtMesh.Core.Tests.Steering;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Continuous batching on a real model thread: what a request gets does not depend on its company.</summary>
public sealed class GenerationTests : IDisposable
{
    private readonly TemporaryCheckpoint _checkpoint = new(width: 32, layers: 3);
    private readonly LoadedModel _model;

    public GenerationTests() => _model = LoadedModel.Load("test", _checkpoint.Folder);

    public void Dispose()
    {
        _model.Dispose();
        _checkpoint.Dispose();
    }

    [Fact]
    public async Task Greedy_text_in_a_crowd_is_that_alone()
    {
        var requests = Enumerable.Range(0, 40).Select(i => Request(prompt: i, maxTokens: 3 + (i % 11), SteeringPlan.None)).ToList();
        var alone = new List<int[]>();
        foreach (var request in requests)
        {
            alone.Add(await Ids(_model.Generate(request, TestContext.Current.CancellationToken)));
        }

        var crowd = requests.Select(r => _model.Generate(r, TestContext.Current.CancellationToken)).ToList();
        for (var i = 0; i < crowd.Count; i++)
        {
            Assert.Equal(alone[i], await Ids(crowd[i]));
        }
    }

    [Fact]
    public async Task Each_of_many_steered_requests_gets_its_own_vector_and_the_unsteered_ones_none()
    {
        var plans = new List<SteeringPlan>();
        for (var i = 0; i < 30; i++)
        {
            plans.Add(i % 3 == 0 ? SteeringPlan.None : await Plan(layer: i % 3, coefficient: 4 + i, seed: i));
        }

        var requests = plans.Select((plan, i) => Request(prompt: i, maxTokens: 8, plan)).ToList();
        var alone = new List<int[]>();
        foreach (var request in requests)
        {
            alone.Add(await Ids(_model.Generate(request, TestContext.Current.CancellationToken)));
        }

        var crowd = requests.Select(r => _model.Generate(r, TestContext.Current.CancellationToken)).ToList();
        for (var i = 0; i < crowd.Count; i++)
        {
            Assert.Equal(alone[i], await Ids(crowd[i]));
        }

        var unsteered = await Ids(_model.Generate(requests[1] with { Plan = SteeringPlan.None }, TestContext.Current.CancellationToken));
        Assert.NotEqual(unsteered, alone[1]); // the vectors above do change the text
    }

    [Theory]
    [InlineData(PositionRule.All, 5 + 6)]
    [InlineData(PositionRule.Prompt, 5)]
    [InlineData(PositionRule.Generated, 6)]
    [InlineData(PositionRule.LastPromptToken, 1)]
    [InlineData(PositionRule.FromLastPromptToken, 1 + 6)]
    public async Task The_answer_says_how_many_positions_were_steered(PositionRule rule, int positions)
    {
        var plan = await Plan(layer: 1, coefficient: 2, seed: 3, rule);
        // Seven tokens are generated; the last of them is never read, so six generated positions are.
        var generation = _model.Generate(Request(prompt: 0, maxTokens: 7, plan) with { Prompt = [0, 4, 9, 16, 25] }, TestContext.Current.CancellationToken);
        var applied = Assert.Single((await generation.Outcome).Steering);
        Assert.Equal(positions, applied.Positions);
        Assert.InRange(applied.MeanRelativeChange, 0.01, 10);
    }

    [Fact]
    public async Task A_coefficient_of_zero_changes_nothing()
    {
        var plain = await Ids(_model.Generate(Request(1, 12, SteeringPlan.None), TestContext.Current.CancellationToken));
        var zero = await Ids(_model.Generate(Request(1, 12, await Plan(1, 0, 3)), TestContext.Current.CancellationToken));
        Assert.Equal(plain, zero);
    }

    [Fact]
    public async Task A_seed_gives_the_same_sample_in_any_company()
    {
        var sampled = Request(2, 10, SteeringPlan.None) with { Sampling = new SamplingOptions(0.9, 0, 1, Seed: 11) };
        var alone = await Ids(_model.Generate(sampled, TestContext.Current.CancellationToken));
        var others = Enumerable.Range(0, 20).Select(i => _model.Generate(Request(i, 10, SteeringPlan.None), TestContext.Current.CancellationToken)).ToList();
        Assert.Equal(alone, await Ids(_model.Generate(sampled, TestContext.Current.CancellationToken)));
        foreach (var other in others)
        {
            await Ids(other);
        }
    }

    [Fact]
    public async Task A_cancelled_request_stops_and_the_others_go_on()
    {
        using var cancellation = new CancellationTokenSource();
        var cancelled = _model.Generate(Request(0, 80, SteeringPlan.None), cancellation.Token);
        var other = _model.Generate(Request(1, 20, SteeringPlan.None), TestContext.Current.CancellationToken);
        await cancelled.Tokens.ReadAsync(TestContext.Current.CancellationToken);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.Outcome);
        Assert.Equal(20, (await Ids(other)).Length);
    }

    [Fact]
    public async Task A_full_queue_refuses_at_once_and_says_when_to_try_again()
    {
        var accepted = new List<Core.Models.Generation>();
        void Fill()
        {
            for (var i = 0; i < 10_000; i++)
            {
                accepted.Add(_model.Generate(Request(0, 60, SteeringPlan.None), TestContext.Current.CancellationToken));
            }
        }

        var refusal = Assert.Throws<LrtMeshException>(Fill);
        Assert.Equal(ErrorReason.ResourceExhausted, refusal.Reason);
        Assert.InRange(refusal.RetryAfter!.Value.TotalSeconds, 0.05, 30);
        Assert.Equal(60, (await Ids(accepted[0])).Length);
    }

    [Fact]
    public async Task Unloading_ends_what_waits_and_runs_with_unavailable()
    {
        var generations = Enumerable.Range(0, 200).Select(i => _model.Generate(Request(i, 80, SteeringPlan.None), TestContext.Current.CancellationToken)).ToList();
        _model.Dispose();
        var last = await Assert.ThrowsAsync<LrtMeshException>(() => generations[^1].Outcome);
        Assert.Equal(ErrorReason.Unavailable, last.Reason);
    }

    private static async Task<int[]> Ids(Core.Models.Generation generation)
    {
        var ids = new List<int>();
        await foreach (var token in generation.Tokens.ReadAllAsync(TestContext.Current.CancellationToken))
        {
            ids.Add(token.Id);
        }

        await generation.Outcome;
        return [.. ids];
    }

    private static GenerationRequest Request(int prompt, int maxTokens, SteeringPlan plan)
    {
        var random = new Random(prompt);
        return new GenerationRequest(
            [.. Enumerable.Range(0, 1 + random.Next(12)).Select(_ => random.Next(300))],
            SamplingOptions.Greedy, maxTokens, IgnoreEndOfSequence: true, plan);
    }

    private Task<SteeringPlan> Plan(int layer, double coefficient, int seed, PositionRule rule = PositionRule.All)
    {
        var random = new Random(seed);
        var vector = SteeringVector.Create(
            new Vector { Name = $"v{seed}", Model = "test", ModelDigest = _model.Description.Digest, Layer = (uint)layer },
            [.. Enumerable.Range(0, (int)_model.Description.Width).Select(_ => (float)(random.NextDouble() - 0.5))]);
        return SteeringPlan.ResolveAsync(
            [new V1.Steering { Vector = vector.Info.Name, Coefficient = coefficient, Positions = rule }],
            "steering", _model.Description, 96, Vectors.Always(vector), TestContext.Current.CancellationToken);
    }
}

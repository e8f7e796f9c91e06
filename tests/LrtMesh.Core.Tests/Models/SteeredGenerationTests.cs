using CsCheck;
using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Position rules, schedules and conditions on a real model thread: each does what its definition says, in any company.</summary>
public sealed class SteeredGenerationTests : IDisposable
{
    private const int Layers = 3;
    private const int Width = 32;
    private const int MaxTokens = 8;
    private static readonly int[] Prompt = [3, 141, 59, 26, 53, 58, 97, 93, 23, 84];
    private readonly TemporaryCheckpoint _checkpoint = new(width: Width, layers: Layers);
    private readonly LoadedModel _model;

    public SteeredGenerationTests() => _model = LoadedModel.Load("test", _checkpoint.Folder);

    public void Dispose()
    {
        _model.Dispose();
        _checkpoint.Dispose();
    }

    [Fact]
    public async Task Ranges_are_absolute_positions()
    {
        var (ids, applied) = await Run(Steering(1, ranges: [(2, 4), (8, 12)]));
        Assert.Equal(2 + 4, Assert.Single(applied).Positions);
        // The same tokens by other rules: prompt tokens 0 to 9, generated from 10.
        var (all, _) = await Run(Steering(1, ranges: [(0, null)]));
        var (rule, _) = await Run(Steering(1));
        Assert.Equal(rule, all);
        Assert.NotEqual(ids, all);
        var (generated, _) = await Run(With(Steering(1), s => s.Positions = PositionRule.Generated));
        Assert.Equal(generated, (await Run(Steering(1, ranges: [((uint)Prompt.Length, null)]))).Ids);
    }

    [Fact]
    public async Task A_schedule_changes_the_coefficient_over_the_generated_tokens()
    {
        var plain = (await Run()).Ids;
        var whole = With(Steering(1), s => s.Positions = PositionRule.Generated);
        var late = With(whole.Clone(), s => s.Schedule.Add([new SchedulePoint { Token = 3, Factor = 0 }, new SchedulePoint { Token = 4, Factor = 1 }]));
        var (ids, applied) = await Run(late);
        // Generated tokens 0 to 3 are read with factor 0, so that tokens 0 to 4 are chosen as without steering.
        Assert.Equal(plain[..5], ids[..5]);
        Assert.NotEqual(plain, ids);
        Assert.Equal(MaxTokens - 1, Assert.Single(applied).Positions);

        var constant = With(whole.Clone(), s => s.Schedule.Add(new SchedulePoint { Token = 2, Factor = 1 }));
        Assert.Equal((await Run(whole)).Ids, (await Run(constant)).Ids);
        var half = With(whole.Clone(), s => s.Schedule.Add(new SchedulePoint { Factor = 0.5 }));
        var weak = With(whole.Clone(), s => s.Coefficient /= 2);
        Assert.Equal((await Run(weak)).Ids, (await Run(half)).Ids);
        Assert.Equal((await Run(weak)).Applied[0].MeanRelativeChange, (await Run(half)).Applied[0].MeanRelativeChange, 1e-5);
    }

    [Theory]
    [InlineData(ConditionScope.Token)]
    [InlineData(ConditionScope.Prompt)]
    public async Task A_condition_that_always_or_never_holds_is_none_or_no_steering(ConditionScope scope)
    {
        var steering = With(Steering(1), s => s.Positions = scope == ConditionScope.Prompt ? PositionRule.FromLastPromptToken : PositionRule.All);
        var plain = (await Run()).Ids;
        var (steered, proof) = await Run(steering);
        Assert.NotEqual(plain, steered);
        foreach (var layer in new uint[] { 0, 1 })
        {
            var always = With(steering.Clone(), s => s.Condition = Condition(layer, -1e6, scope));
            var never = With(steering.Clone(), s => s.Condition = Condition(layer, 1e6, scope));
            Assert.Equal(steered, (await Run(always)).Ids);
            Assert.Equal(proof[0].Positions, (await Run(always)).Applied[0].Positions);
            Assert.Equal(plain, (await Run(never)).Ids);
            Assert.Equal(0, (await Run(never)).Applied[0].Positions);
            var below = With(never.Clone(), s => s.Condition.Below = true);
            Assert.Equal(steered, (await Run(below)).Ids);
        }
    }

    [Fact]
    public async Task A_condition_on_tokens_is_the_projection_of_each()
    {
        float[] states = [];
        await _model.ReadStatesAsync([Prompt], [0], (_, _, read) => states = read.ToArray(), TestContext.Current.CancellationToken);
        var probe = Elements(99);
        var length = Math.Sqrt(probe.Sum(element => element * element));
        double[] projections = [.. states.Chunk(Width).Select(state => state.Zip(probe, (h, p) => h * p).Sum() / length)];
        var threshold = (projections.Order().ElementAt(4) + projections.Order().ElementAt(5)) / 2;
        foreach (var below in new[] { false, true })
        {
            var steering = With(Steering(1), s => s.Positions = PositionRule.Prompt);
            steering.Condition = With(Condition(0, threshold, ConditionScope.Token), c => c.Below = below);
            var chosen = Enumerable.Range(0, Prompt.Length).Where(i => projections[i] < threshold == below).ToArray();
            var ranges = Steering(1, [.. chosen.Select(i => ((uint)i, (uint?)(i + 1)))]);
            var (ids, applied) = await Run(steering);
            Assert.Equal(5, Assert.Single(applied).Positions);
            Assert.Equal((await Run(ranges)).Ids, ids);
        }
    }

    /// <summary>Everything at once, in a crowd, warm and cold: each gets what it gets alone.</summary>
    [Fact]
    public void Random_steering_in_a_crowd_is_that_alone() => Gen.Int[0, 1000].Array[6, 14].Sample(seeds =>
    {
        using var alone = LoadedModel.Load("test", _checkpoint.Folder);
        var requests = seeds.Select(RandomSteering).ToArray();
        var expected = requests.Select(steerings => Run(alone, steerings).GetAwaiter().GetResult()).ToArray();
        var crowd = requests.Select(steerings => Run(_model, steerings)).ToArray();
        for (var i = 0; i < crowd.Length; i++)
        {
            var (ids, applied) = crowd[i].GetAwaiter().GetResult();
            Assert.Equal(expected[i].Ids, ids);
            Assert.Equal(expected[i].Applied.Select(a => a.Positions), applied.Select(a => a.Positions));
            Assert.All(expected[i].Applied.Zip(applied), pair => Assert.Equal(pair.First.MeanRelativeChange, pair.Second.MeanRelativeChange, 1e-3));
        }
    }, iter: 15, threads: 1);

    private static V1.Steering[] RandomSteering(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, random.Next(4)).Select(i =>
        {
            var steering = Steering((uint)random.Next(Layers), seed: random.Next(5));
            steering.Operator = (SteeringOperator)random.Next(4);
            steering.Coefficient = steering.Operator == SteeringOperator.Ablate ? 1 : random.Next(-6, 7);
            steering.PreserveNorm = random.Next(3) == 0;
            steering.Positions = (PositionRule)random.Next(6);
            if (random.Next(3) == 0 && steering.Operator != SteeringOperator.Ablate && steering.Positions is not (PositionRule.Prompt or PositionRule.LastPromptToken))
            {
                steering.Schedule.Add([new SchedulePoint { Token = 1, Factor = 0.5 }, new SchedulePoint { Token = 5, Factor = 1.5 }]);
            }

            if (random.Next(3) == 0)
            {
                var scope = steering.Positions == PositionRule.Prompt || random.Next(2) == 0 ? ConditionScope.Token : ConditionScope.Prompt;
                steering.Condition = Condition((uint)random.Next((int)steering.Layer + 1), 0, scope);
            }

            return steering;
        }).DistinctBy(steering => (steering.Layer, steering.Operator == SteeringOperator.Add))];
    }

    private static T With<T>(T message, Action<T> change)
    {
        change(message);
        return message;
    }

    private static V1.Steering Steering(uint layer, (uint Start, uint? End)[]? ranges = null, int seed = 7)
    {
        var steering = new V1.Steering { Given = TensorCodec.Encode(Elements(seed), Width), Layer = layer, Coefficient = 6 };
        foreach (var (start, end) in ranges ?? [])
        {
            steering.Positions = PositionRule.Ranges;
            steering.Ranges.Add(end is { } until ? new PositionRange { Start = start, End = until } : new PositionRange { Start = start });
        }

        return steering;
    }

    private static SteeringCondition Condition(uint layer, double threshold, ConditionScope scope) =>
        new() { Probe = "probe", Layer = layer, Threshold = threshold, Scope = scope };

    private static float[] Elements(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, Width).Select(_ => (float)(random.NextDouble() - 0.5))];
    }

    private Task<(int[] Ids, IReadOnlyList<Core.Models.AppliedSteering> Applied)> Run(params V1.Steering[] steerings) => Run(_model, steerings);

    private static async Task<(int[] Ids, IReadOnlyList<Core.Models.AppliedSteering> Applied)> Run(LoadedModel model, V1.Steering[] steerings)
    {
        var cancellation = TestContext.Current.CancellationToken;
        var probe = SteeringVector.Create(new Vector { Name = "probe", Model = "test", ModelDigest = model.Description.Digest }, Elements(99));
        var plan = await SteeringPlan.ResolveAsync(steerings, "steering", model.Description, Prompt.Length + MaxTokens, Tests.Steering.Vectors.Always(probe), cancellation);
        var generation = model.Generate(
            new GenerationRequest(Prompt, SamplingOptions.Greedy, MaxTokens, IgnoreEndOfSequence: true, plan), cancellation);
        var ids = await generation.Tokens.ReadAllAsync(cancellation).Select(token => token.Id).ToArrayAsync(cancellation);
        return (ids, (await generation.Outcome).Steering);
    }
}

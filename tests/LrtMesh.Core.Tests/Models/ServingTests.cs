using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Many requests of every kind: each gets its own answer, and nothing is left behind.</summary>
[Collection(CheckpointsRunAlone.Name)]
public sealed class ServingTests : IDisposable
{
    private const int Width = 32;
    private readonly TemporaryCheckpoint _checkpoint = new(width: Width, layers: 3);

    /// <summary>LRTMESH_SOAK says how many, 10000 say; otherwise a few hundred.</summary>
    private static int Requests => int.TryParse(Environment.GetEnvironmentVariable("LRTMESH_SOAK"), out var requests) ? requests : 400;

    public void Dispose() => _checkpoint.Dispose();

    [Fact]
    public async Task Random_cancels_deadlines_and_steering_leave_no_tensor_behind()
    {
        CheckpointsRunAlone.Settle();
        using var model = LoadedModel.Load("test", _checkpoint.Folder, serving: new ServingOptions { KvCacheBytes = 2 << 20, PrefixCacheBytes = 1 << 20 });
        var random = new Random(3);
        var expected = new Dictionary<int, int[]>();
        var (live, memory) = (0L, 0L);
        for (var round = 0; round < Requests / 100; round++)
        {
            var running = Enumerable.Range(0, 100).Select(_ => RunAsync(model, random.Next(40), random.Next(6), random.Next(1, 30), expected)).ToArray();
            await Task.WhenAll(running);
            if (round == 1)
            {
                (live, memory) = (Live(model), Environment.WorkingSet);
            }
        }

        Assert.True(expected.Count > 20);
        Assert.InRange(await SettledAsync(model, live), 0, live);
        Assert.InRange(Environment.WorkingSet, 0, memory + (64L << 20));
    }

    [Fact]
    public async Task An_answer_is_the_same_bit_for_bit_in_any_company_warm_and_cold()
    {
        var options = new ServingOptions { Deterministic = true };
        using var model = LoadedModel.Load("test", _checkpoint.Folder, serving: options);
        var cancellation = TestContext.Current.CancellationToken;
        foreach (var prompt in Enumerable.Range(0, 6))
        {
            using var alone = LoadedModel.Load("test", _checkpoint.Folder, serving: options);
            var request = Request(prompt, 12, steered: prompt % 2 == 1, alone) with { Sampling = new SamplingOptions(0.9, 0, 0.95, 5) { Logprobs = 5 } };
            var cold = await LogprobsAsync(alone.Generate(request, cancellation));
            var company = Enumerable.Range(0, 15).Select(i => model.Generate(Request(i % 8, 6 + i, i % 3 == 0, model), cancellation)).ToArray();
            Assert.Equal(cold, await LogprobsAsync(model.Generate(request, cancellation)));
            Assert.Equal(cold, await LogprobsAsync(model.Generate(request, cancellation)));
            await Task.WhenAll(company.Select(other => other.Outcome));
        }
    }

    [Fact]
    public async Task What_never_fits_is_refused_and_what_fits_later_waits()
    {
        using var model = LoadedModel.Load("test", _checkpoint.Folder, serving: new ServingOptions { KvCacheBytes = 80 * 3 * 2 * 16 * sizeof(float) }); // 80 tokens
        var cancellation = TestContext.Current.CancellationToken;
        Assert.Equal(80, model.LongestSequence);
        var refusal = Assert.Throws<LrtMeshException>(() => model.Generate(Request(0, 80, false, model), cancellation));
        Assert.Equal(ErrorReason.OutOfRange, refusal.Reason);
        var generations = Enumerable.Range(0, 12).Select(i => model.Generate(Request(i, 25, false, model), cancellation)).ToArray();
        Assert.All(await Task.WhenAll(generations.Select(generation => generation.Outcome)), outcome => Assert.Equal(25, outcome.Tokens));
    }

    [Fact]
    public async Task A_long_prompt_does_not_hold_up_short_ones()
    {
        using var wide = new TemporaryCheckpoint(width: 256, layers: 8);
        using var model = LoadedModel.Load("test", wide.Folder);
        var cancellation = TestContext.Current.CancellationToken;
        // Some dozens of the longest prompts that the model takes, and one token after them.
        var crowd = Enumerable.Range(0, 120).Select(i => model.Generate(
            new GenerationRequest([.. Enumerable.Range(0, 90).Select(at => (i + (at * 7)) % 300)], SamplingOptions.Greedy, 6, true, SteeringPlan.None), cancellation)).ToArray();
        var few = model.Generate(Request(1, 4, false, model), cancellation);
        await few.Outcome;
        Assert.Contains(crowd, generation => !generation.Outcome.IsCompleted);
        await Task.WhenAll(crowd.Select(generation => generation.Outcome));
    }

    private static async Task<double[]> LogprobsAsync(Core.Models.Generation generation) => await generation.Tokens.ReadAllAsync(TestContext.Current.CancellationToken)
        .SelectMany(token => (IEnumerable<double>)[token.Id, token.Logprobs!.Chosen, .. token.Logprobs.Top.Select(top => top.Logprob)])
        .ToArrayAsync(TestContext.Current.CancellationToken);

    /// <summary>One request, of which some are cancelled and some run out of time; those that end are as the first of their kind.</summary>
    private static async Task RunAsync(LoadedModel model, int prompt, int kind, int milliseconds, Dictionary<int, int[]> expected)
    {
        using var cancellation = new CancellationTokenSource();
        if (kind < 2)
        {
            cancellation.CancelAfter(milliseconds);
        }

        var steered = prompt % 3 == 0;
        var generation = model.Generate(Request(prompt, 12, steered, model), cancellation.Token);
        try
        {
            var ids = await generation.Tokens.ReadAllAsync(CancellationToken.None).Select(token => token.Id).ToArrayAsync(CancellationToken.None);
            await generation.Outcome;
            lock (expected)
            {
                if (!expected.TryAdd(prompt, ids))
                {
                    Assert.Equal(expected[prompt], ids);
                }
            }
        }
        catch (OperationCanceledException) when (kind < 2)
        {
        }
    }

    private static GenerationRequest Request(int prompt, int maxTokens, bool steered, LoadedModel model)
    {
        var random = new Random(prompt);
        int[] common = [.. Enumerable.Range(0, 20).Select(i => i * 3)];
        int[] ids = [.. common, .. Enumerable.Range(0, 1 + random.Next(30)).Select(_ => random.Next(300))];
        var plan = steered ? Plan(random, model) : SteeringPlan.None;
        return new GenerationRequest(ids, SamplingOptions.Greedy, maxTokens, IgnoreEndOfSequence: true, plan);
    }

    private static SteeringPlan Plan(Random random, LoadedModel model)
    {
        var steering = new V1.Steering
        {
            Given = TensorCodec.Encode([.. Enumerable.Range(0, Width).Select(_ => (float)(random.NextDouble() - 0.5))], Width),
            Layer = (uint)random.Next(3),
            Coefficient = random.Next(1, 6),
            PreserveNorm = random.Next(2) == 0,
        };
        return SteeringPlan.ResolveAsync([steering], "steering", model.Description, 96, VectorSource.Given, CancellationToken.None).GetAwaiter().GetResult();
    }

    private static long Live(LoadedModel model) => torch.Tensor.TotalCount - model.PrefixTensors;

    private static async Task<long> SettledAsync(LoadedModel model, long wanted)
    {
        for (var attempt = 0; attempt < 100 && Live(model) > wanted; attempt++)
        {
            await Task.Delay(20);
        }

        return Live(model);
    }
}

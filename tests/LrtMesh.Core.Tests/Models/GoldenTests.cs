using System.Globalization;
using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Every family against what two independent implementations computed in float64: hidden states, logits, tokens, steering.</summary>
public sealed class GoldenTests(ITestOutputHelper output) : InferenceTests
{
    private const int Generated = 16;

    public static TheoryData<string> Folders() => [.. GoldenCheckpoint.Folders()];

    [Theory]
    [MemberData(nameof(Folders))]
    public async Task A_checkpoint_computes_what_is_expected(string folder)
    {
        using var golden = new GoldenCheckpoint(folder);
        using var decoder = Checkpoint.Load(folder, ScalarType.Float32);
        var ids = golden.Ids;

        var tap = new CaptureTap([.. Enumerable.Range(0, decoder.Config.Layers)]);
        var last = decoder.Read(ids, tap);
        var hidden = Enumerable.Range(0, decoder.Config.Layers)
            .Select(layer => golden.Compare(string.Create(CultureInfo.InvariantCulture, $"hidden.{layer}"), tap[layer]))
            .Append(golden.Compare("hidden.embed", decoder.Embed(ids))).Max();
        var logits = golden.Compare("logits", decoder.Logits(last));
        var cached = golden.Compare("logits", decoder.Logits(InTwoParts(decoder, ids, tap: null)));

        var layer = (int)golden.Read("steer.layer", ScalarType.Int64).item<long>();
        var vector = golden.Read("steer.vector");
        var delta = vector * golden.Read("steer.alpha").item<float>();
        var unit = vector / linalg.norm(vector);
        var added = new ChangeTap(layer, h => h + delta);
        var removed = new ChangeTap(layer, h => h - ((h * unit).sum(-1, keepdim: true) * unit));
        var steered = golden.Compare("steer.logits", decoder.Logits(decoder.Read(ids, added)));
        golden.Compare("steer.logits", decoder.Logits(InTwoParts(decoder, ids, added)));
        var ablated = golden.Compare("ablate.logits", decoder.Logits(decoder.Read(ids, removed)));
        golden.Compare("ablate.logits", decoder.Logits(InTwoParts(decoder, ids, removed)));

        var rows = await Greedy(decoder, ids, ignoreEnds: true);
        Assert.Equal(golden.Read("greedy_ids", ScalarType.Int64).data<long>().ToArray(), rows.SelectMany(row => row.Ids));
        var stopped = await Greedy(decoder, ids, ignoreEnds: false);
        Assert.Equal(golden.Read("greedy_stop", ScalarType.Int64).data<long>().ToArray(), stopped.Select(row => (long)row.Outcome.Tokens));
        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {Path.GetFileName(folder)} | {hidden:g2} | {logits:g2} | {cached:g2} | yes | {steered:g2} (layer {layer}) | {ablated:g2} |"));
    }

    /// <summary>Through the cache: most tokens at once and then the others.</summary>
    private static Tensor InTwoParts(Decoder decoder, Tensor ids, Tap? tap)
    {
        var (rows, length) = (ids.size(0), (int)ids.size(1));
        var first = length - 7;
        using var cache = new KvCache(decoder.Config, (int)rows, length, ScalarType.Float32);
        var positions = arange(length, ScalarType.Int64).unsqueeze(0).expand(rows, -1).contiguous();
        Tensor Part(int from, int count) => decoder.Advance(
            ids.narrow(1, from, count).contiguous(), positions.narrow(1, from, count).contiguous(), cache, firstSlot: 0, from + count, tap);
        return cat([Part(0, first), Part(first, length - first)], 1);
    }

    private static async Task<List<(long[] Ids, GenerationOutcome Outcome)>> Greedy(Decoder decoder, Tensor ids, bool ignoreEnds)
    {
        using var loop = new GenerationLoop(decoder, new ServingOptions());
        var generations = Enumerable.Range(0, (int)ids.size(0)).Select(row => new Core.Models.Generation(
            new GenerationRequest(
                [.. ids[row].data<long>().ToArray().Select(id => (int)id)], SamplingOptions.Greedy, Generated, ignoreEnds, SteeringPlan.None),
            TestContext.Current.CancellationToken)).ToList();
        generations.ForEach(loop.Enqueue);
        while (loop.HasWork)
        {
            loop.Step();
        }

        var rows = new List<(long[], GenerationOutcome)>();
        foreach (var generation in generations)
        {
            var tokens = new List<long>();
            while (generation.Tokens.TryRead(out var token))
            {
                tokens.Add(token.Id);
            }

            rows.Add(([.. tokens], await generation.Outcome));
        }

        return rows;
    }

    private sealed class ChangeTap(int layer, Func<Tensor, Tensor> change) : Tap
    {
        public override Tensor AfterBlock(int block, Tensor hidden) => block == layer ? change(hidden) : hidden;
    }
}

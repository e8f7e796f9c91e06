using CsCheck;
using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Every family in its odd corners: against float64, and with the cache, in company and with padding, against itself alone.</summary>
public sealed class FamilyVariantTests : InferenceTests
{
    private const double Tolerance = 1e-4;

    public static TheoryData<string> Variants() => [.. FamilyVariants.All.Keys];

    [Theory]
    [MemberData(nameof(Variants))]
    public void Hidden_states_and_logits_are_those_of_the_reference(string variant)
    {
        NativeTorch.EnsureLoaded();
        using var decoder = FamilyVariants.Decoder(FamilyVariants.All[variant], seed: 3);
        var ids = Enumerable.Range(0, 12).Select(i => (long)(i * 17 % 50)).ToArray();
        var (layers, logits) = new EagerReference(decoder.Config, decoder.Weights).Run(ids);
        var tap = new CaptureTap([.. Enumerable.Range(0, layers.Count)]);
        var last = decoder.Read(tensor(ids).unsqueeze(0), tap);
        for (var layer = 0; layer < layers.Count; layer++)
        {
            AssertClose(layers[layer], tap[layer][0]);
        }

        AssertClose(logits, decoder.Logits(last)[0]);
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void With_the_cache_in_company_a_sequence_is_computed_as_alone_without(string variant)
    {
        NativeTorch.EnsureLoaded();
        using var decoder = FamilyVariants.Decoder(FamilyVariants.All[variant], seed: 4);
        var sequences = Gen.Select(Gen.Int[1, 14], Gen.Int[0, 13]).Select((length, cut) => (Length: length, Cut: cut)).Array[1, 4];
        sequences.Sample(
            lengths =>
            {
                using var scope = NewDisposeScope();
                var rows = lengths.Select((l, row) => Enumerable.Range(0, l.Length).Select(i => (long)(((row * 7) + (i * 13)) % 50)).ToArray()).ToArray();
                var cuts = lengths.Select(l => CutOf(decoder.Config, l.Length, l.Cut)).ToArray();
                var logits = ThroughTheCache(decoder, rows, cuts);
                for (var row = 0; row < rows.Length; row++)
                {
                    AssertClose(decoder.Logits(decoder.Read(tensor(rows[row]).unsqueeze(0), tap: null))[0].to(ScalarType.Float64), logits[row]);
                }
            },
            iter: 4, seed: "0000000000000", threads: 1);
    }

    [Fact]
    public async Task A_sequence_that_outgrows_its_angles_goes_on_as_if_it_had_always_been_long()
    {
        NativeTorch.EnsureLoaded();
        using var decoder = FamilyVariants.Decoder(FamilyVariants.All["phi3, longrope"], seed: 5);
        using var loop = new GenerationLoop(decoder, new ServingOptions());
        var prompts = new[] { 5, 7, 8, 12 }.Select(length => Enumerable.Range(0, length).Select(i => i * 11 % 50).ToArray()).ToArray();
        var generations = prompts.Select(prompt => new Core.Models.Generation(
            new GenerationRequest(prompt, SamplingOptions.Greedy, MaxTokens: 8, IgnoreEndOfSequence: true, SteeringPlan.None),
            TestContext.Current.CancellationToken)).ToArray();
        Array.ForEach(generations, loop.Enqueue);
        while (loop.HasWork)
        {
            loop.Step();
        }

        for (var i = 0; i < prompts.Length; i++)
        {
            var tokens = prompts[i].Select(id => (long)id).ToList();
            await foreach (var token in generations[i].Tokens.ReadAllAsync(TestContext.Current.CancellationToken))
            {
                var scores = decoder.Logits(decoder.Read(tensor(tokens.ToArray()).unsqueeze(0), tap: null))[0, -1];
                Assert.Equal(scores.argmax().item<long>(), token.Id);
                tokens.Add(token.Id);
            }

            Assert.Equal(prompts[i].Length + 8, tokens.Count);
        }
    }

    /// <summary>Where a sequence is cut in two; where it changes its angles by length, not before that.</summary>
    private static int CutOf(ModelConfig config, int length, int wish) =>
        length > config.AngleSwitch ? Math.Clamp(wish, config.AngleSwitch.Value + 1, length) : Math.Clamp(wish, 1, length);

    /// <summary>First parts together, padded on the right; then second parts together, padded on the left.</summary>
    private static Tensor[] ThroughTheCache(Decoder decoder, long[][] rows, int[] cuts)
    {
        const int Beyond = 30; // positions of padding on the left: no sequence comes as far
        using var cache = new KvCache(decoder.Config, rows.Length + 1, FamilyVariants.Context, ScalarType.Float32);
        var width = cuts.Max();
        var first = decoder.Logits(decoder.Advance(
            Table(rows.Length, width, (row, i) => i < cuts[row] ? rows[row][i] : 0),
            Table(rows.Length, width, (_, i) => i),
            cache, firstSlot: 1, reach: width, tap: null, lengths: cuts));
        var rest = rows.Select((ids, row) => ids.Length - cuts[row]).ToArray();
        var seconds = rest.Max();
        if (seconds == 0)
        {
            return [.. rows.Select((_, row) => first[row].narrow(0, 0, cuts[row]))];
        }

        var second = decoder.Logits(decoder.Advance(
            Table(rows.Length, seconds, (row, i) => i < seconds - rest[row] ? 0 : rows[row][cuts[row] + i - (seconds - rest[row])]),
            Table(rows.Length, seconds, (row, i) => i < seconds - rest[row] ? Beyond + i : cuts[row] + i - (seconds - rest[row])),
            cache, firstSlot: 1, reach: rows.Max(ids => ids.Length), tap: null, lengths: [.. rows.Select(ids => ids.Length)]));
        return [.. rows.Select((_, row) => cat([first[row].narrow(0, 0, cuts[row]), second[row].narrow(0, seconds - rest[row], rest[row])]))];
    }

    private static Tensor Table(int rows, int columns, Func<int, int, long> at) =>
        tensor(Enumerable.Range(0, rows * columns).Select(i => at(i / columns, i % columns)).ToArray(), [rows, columns], ScalarType.Int64);

    private static void AssertClose(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        var worst = ((actual.to(ScalarType.Float64) - expected).abs() / (1 + expected.abs())).max().item<double>();
        Assert.True(worst < Tolerance, $"differs by {worst:g3}");
    }
}

using System.Numerics.Tensors;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Steps;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models.Steps;

/// <summary>A token at a time, computed here: what float64 gives, and the same bits in any company.</summary>
public sealed class TokenStepTests : InferenceTests
{
    private const int Length = 12;

    public static TheoryData<string> Variants() => [.. FamilyVariants.All.Keys];

    [Theory]
    [MemberData(nameof(Variants))]
    public void Token_by_token_gives_the_references_logits(string variant)
    {
        NativeTorch.EnsureLoaded();
        using var decoder = FamilyVariants.Decoder(FamilyVariants.All[variant], seed: 6);
        Assert.SkipUnless(TokenStep.Supports(decoder.Weights), "this processor has no AVX-512: torch computes steps");
        var ids = Enumerable.Range(0, Length).Select(i => (long)(i * 19 % 50)).ToArray();
        var (layers, expected) = new EagerReference(decoder.Config, decoder.Weights).Run(ids);
        using var cache = new KvCache(decoder.Config, 1, FamilyVariants.Context, ScalarType.Float32);
        for (var at = 0; at < Length; at++)
        {
            var tap = new CaptureTap([.. Enumerable.Range(0, layers.Count)]);
            var last = Step(decoder, cache, 0, at, [ids[at]], tap);
            AssertClose(expected[at], decoder.Logits(last)[0], 1e-4);
            for (var layer = 0; layer < layers.Count; layer++)
            {
                AssertClose(layers[layer][at], tap[layer][0, 0], 1e-4);
            }
        }
    }

    [Theory] // whose attention goes over several tiles of keys, from the first or from amid one
    [InlineData("llama, biases")]
    [InlineData("gemma, one key head")]
    [InlineData("gemma2, caps")]
    public void A_long_sequence_gives_the_references_logits(string variant)
    {
        const int Long = 700;
        NativeTorch.EnsureLoaded();
        var body = FamilyVariants.All[variant].Replace("\"max_position_embeddings\": 64", "\"max_position_embeddings\": 1024", StringComparison.Ordinal)
            .Replace("\"sliding_window\": 4", "\"sliding_window\": 300", StringComparison.Ordinal);
        using var decoder = FamilyVariants.Decoder(body, seed: 8);
        Assert.SkipUnless(TokenStep.Supports(decoder.Weights), "this processor has no AVX-512: torch computes steps");
        var ids = Enumerable.Range(0, Long).Select(i => (long)(i * 19 * (i % 7) % 50)).ToArray();
        var expected = new EagerReference(decoder.Config, decoder.Weights).Run(ids).Logits;
        using var cache = new KvCache(decoder.Config, 1, Long, ScalarType.Float32);
        for (var at = 0; at < Long; at++)
        {
            using var step = NewDisposeScope();
            var logits = decoder.Logits(Step(decoder, cache, 0, at, [ids[at]], length: Long))[0];
            if (at % 100 > 97 || at is 255 or 256 or 257 or 512)
            {
                AssertClose(expected[at], logits, 1e-4);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void A_sequence_gets_the_same_bits_alone_and_in_company(string variant)
    {
        NativeTorch.EnsureLoaded();
        using var decoder = FamilyVariants.Decoder(FamilyVariants.All[variant], seed: 7);
        Assert.SkipUnless(TokenStep.Supports(decoder.Weights), "this processor has no AVX-512: torch computes steps");
        foreach (var rows in new[] { 2, 3, 5, TokenStep.MostRows })
        {
            using var together = new KvCache(decoder.Config, rows + 1, FamilyVariants.Context, ScalarType.BFloat16);
            using var alone = new KvCache(decoder.Config, 1, FamilyVariants.Context, ScalarType.BFloat16);
            for (var at = 0; at < Length; at++)
            {
                var ids = Enumerable.Range(0, rows).Select(row => (long)((at * 19) + (row * 7)) % 50).ToArray();
                var all = decoder.Logits(Step(decoder, together, firstSlot: 1, at, ids));
                var last = decoder.Logits(Step(decoder, alone, firstSlot: 0, at, [ids[^1]]));
                Assert.Equal(last.Floats().ToArray(), all[rows - 1].Floats().ToArray());
            }
        }
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Int8)]
    public void In_a_narrow_type_a_step_gives_what_the_script_gives(ScalarType dtype)
    {
        NativeTorch.EnsureLoaded();
        using var folder = new TemporaryCheckpoint(width: 64, layers: 3);
        using var decoder = Checkpoint.Load(folder.Folder, dtype);
        Assert.SkipUnless(TokenStep.Supports(decoder.Weights), "this processor has no AVX-512: torch computes steps");
        const int Rows = TokenStep.MostRows + 1; // of which the script takes care
        using var many = new KvCache(decoder.Config, Rows, Length, ScalarType.BFloat16);
        using var one = new KvCache(decoder.Config, 1, Length, ScalarType.BFloat16);
        for (var at = 0; at < Length; at++)
        {
            var id = at * 19 % 50;
            var script = decoder.Logits(Step(decoder, many, 0, at, [.. Enumerable.Repeat((long)id, Rows)]))[0].Floats();
            var step = decoder.Logits(Step(decoder, one, 0, at, [id])).Floats();
            var off = TensorPrimitives.Distance<float>(script, step) / TensorPrimitives.Norm<float>(script);
            Assert.True(off is > 0 and < 0.02f, $"differs by {off:g3} of its length"); // bfloat16 has 8 bits, and a block rounds some ten times
        }
    }

    private static TorchSharp.torch.Tensor Step(Decoder decoder, KvCache cache, int firstSlot, int at, long[] ids, Tap? tap = null, int length = Length) => decoder.Advance(
        tensor(ids, [ids.Length, 1], ScalarType.Int64), tensor([.. Enumerable.Repeat((long)at, ids.Length)], [ids.Length, 1], ScalarType.Int64), cache, firstSlot, reach: at + 1, tap,
        lengths: [.. Enumerable.Repeat(length, ids.Length)]).squeeze(1);

    private static void AssertClose(TorchSharp.torch.Tensor expected, TorchSharp.torch.Tensor seen, double tolerance)
    {
        foreach (var (want, got) in expected.data<double>().Zip(seen.Floats().ToArray()))
        {
            Assert.InRange((got - want) / (1 + Math.Abs(want)), -tolerance, tolerance);
        }
    }
}

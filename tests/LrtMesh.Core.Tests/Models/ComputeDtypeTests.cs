using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Each compute dtype: that its script compiles and is near float32 for every family, how auto chooses, and how int8 rounds.</summary>
public sealed class ComputeDtypeTests : InferenceTests
{
    public static TheoryData<string, ScalarType, double> Variants() => new(FamilyVariants.All.Keys.SelectMany(
        variant => new[] { (variant, ScalarType.BFloat16, 0.03), (variant, ScalarType.Int8, 0.08) }));

    [Theory]
    [MemberData(nameof(Variants))]
    public void Hidden_states_and_logits_are_near_those_in_float32(string variant, ScalarType dtype, double bound)
    {
        NativeTorch.EnsureLoaded();
        using var exact = FamilyVariants.Decoder(FamilyVariants.All[variant], seed: 3);
        using var rounded = FamilyVariants.Decoder(FamilyVariants.All[variant], seed: 3, dtype);
        Assert.Equal(exact.Weights.Parameters, rounded.Weights.Parameters);
        Assert.Equal(dtype, rounded.Weights.Blocks[0].Qkv.dtype);
        var ids = tensor(Enumerable.Range(0, 12).Select(i => (long)(i * 17 % 50)).ToArray()).unsqueeze(0);
        var (want, got) = (Read(exact, ids), Read(rounded, ids));
        for (var i = 0; i < want.Length; i++)
        {
            Assert.InRange(Distance(want[i], got[i]), 1e-5, bound);
        }
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void One_token_at_a_time_through_the_cache_is_near_float32(string variant, ScalarType dtype, double bound)
    {
        NativeTorch.EnsureLoaded();
        using var exact = FamilyVariants.Decoder(FamilyVariants.All[variant], seed: 4);
        using var rounded = FamilyVariants.Decoder(FamilyVariants.All[variant], seed: 4, dtype);
        const int Length = 7; // below the length at which LongRoPE changes its angles
        var ids = tensor(Enumerable.Range(0, 2 * Length).Select(i => (long)(i * 13 % 50)).ToArray()).view(2, Length);
        using var cache = new KvCache(rounded.Config, slots: 2, FamilyVariants.Context, rounded.Weights.Activations);
        var steps = Enumerable.Range(0, Length).Select(at => rounded.Logits(rounded.Advance(
            ids.narrow(1, at, 1), full([2, 1], at, ScalarType.Int64), cache, firstSlot: 0, reach: at + 1, tap: null))).ToList();
        Assert.InRange(Distance(exact.Logits(exact.Read(ids, tap: null)), cat(steps, 1)), 1e-5, bound);
    }

    [Fact]
    public void Few_rows_and_many_give_the_same_int8_product()
    {
        NativeTorch.EnsureLoaded();
        const string Body = """ "model_type": "llama", "vocab_size": 96, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 128, "max_position_embeddings": 64 """;
        using var decoder = FamilyVariants.Decoder(Body, seed: 6, ScalarType.Int8);
        var hidden = randn(40, 64);
        var many = decoder.Logits(hidden);
        for (var row = 0; row < 40; row += 4)
        {
            Assert.InRange(Distance(many.narrow(0, row, 4), decoder.Logits(hidden.narrow(0, row, 4))), 0, 5e-3);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(1000)]
    public void An_int8_row_is_off_by_half_a_step_at_most_and_zeros_stay(int columns)
    {
        var random = new Random(columns);
        for (var magnitude = -4; magnitude <= 4; magnitude++)
        {
            float[] row = [.. Enumerable.Range(0, columns).Select(_ => (float)(random.NextDouble() - 0.5) * MathF.Pow(10, magnitude))];
            var scale = Int8Rows.Scale(row.Max(MathF.Abs));
            var quantized = new sbyte[columns];
            Int8Rows.Quantize([.. row], scale, quantized);
            var step = ElementConversion.FromBFloat16(scale);
            Assert.All(row.Zip(quantized), pair => Assert.InRange(Math.Abs(pair.First - (pair.Second * step)), 0, 0.5001f * step));
            Assert.Equal(127, quantized.Max(q => Math.Abs((int)q)));
        }

        var zeros = new sbyte[columns];
        Int8Rows.Quantize(new float[columns], Int8Rows.Scale(0), zeros);
        Assert.All(zeros, q => Assert.Equal(0, q));
    }

    [Theory]
    [InlineData(1_000_000, false, 9.0, ScalarType.Float32, "under 50 million")]
    [InlineData(100_000_000, true, 9.0, ScalarType.Float32, "stored in float32")]
    [InlineData(100_000_000, false, 1.1, ScalarType.Float32, "1.1 times")]
    [InlineData(100_000_000, false, 1.9, ScalarType.BFloat16, "1.9 times")]
    [InlineData(400_000_000, true, 0.1, ScalarType.BFloat16, "1.6 GB in float32 do not fit into 1.5 GB")]
    [InlineData(800_000_000, false, 0.1, ScalarType.Int8, "1.6 GB in bfloat16 do not fit into 1.5 GB")]
    public void Auto_chooses_by_its_rule(long elements, bool storedInFloat32, double speed, ScalarType chosen, string reason)
    {
        var choice = DtypeChoice.Auto(elements, storedInFloat32, memory: 1_500_000_000, () => speed);
        Assert.Equal(chosen, choice.Weights);
        Assert.Contains(reason, choice.Reason, StringComparison.Ordinal);
    }

    private static Tensor[] Read(Decoder decoder, Tensor ids)
    {
        var tap = new CaptureTap([.. Enumerable.Range(0, decoder.Config.Layers)]);
        var last = decoder.Read(ids, tap);
        return [.. Enumerable.Range(0, decoder.Config.Layers).Select(layer => tap[layer]), decoder.Logits(last)];
    }

    /// <summary>‖got − want‖ / ‖want‖.</summary>
    private static double Distance(Tensor want, Tensor got) => ((got - want).norm() / want.norm()).item<float>();
}

using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>
/// Rotary frequencies as config.json asks for them, against numbers computed apart from this code, in Python, by the formulas of the papers and of
/// transformers' modeling_rope_utils: base 10000, 16 rotated dimensions.
/// </summary>
public sealed class RopeScalingTests
{
    private const string Sizes = """
        "model_type": "llama", "vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 40
        """;

    [Theory]
    [InlineData("null", 1, new[] { 1, 0.316227766016838, 0.1, 0.0316227766016838, 0.01, 0.00316227766016838, 0.001, 0.000316227766016838 })]
    [InlineData("""{"rope_type": "default"}""", 1, new[] { 1, 0.316227766016838, 0.1, 0.0316227766016838, 0.01, 0.00316227766016838, 0.001, 0.000316227766016838 })]
    [InlineData("""{"type": "linear", "factor": 4.0}""", 1, new[] { 0.25, 0.0790569415042095, 0.025, 0.00790569415042095, 0.0025, 0.000790569415042095, 0.00025, 7.90569415042095e-05 })]
    [InlineData("""{"type": "dynamic", "factor": 4.0}""", 1, new[] { 1, 0.316227766016838, 0.1, 0.0316227766016838, 0.01, 0.00316227766016838, 0.001, 0.000316227766016838 })]
    [InlineData(
        """{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}""", 1,
        new[] { 1, 0.316227766016838, 0.1, 0.00661310631724755, 0.00125, 0.000395284707521047, 0.000125, 3.95284707521047e-05 })]
    [InlineData(
        """{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048}""", 1.138629436111989,
        new[] { 1, 0.316227766016838, 0.1, 0.0256935059888681, 0.00625, 0.00138349647632367, 0.00025, 7.90569415042095e-05 })]
    [InlineData(
        """{"rope_type": "yarn", "original_max_position_embeddings": 2048, "mscale": 0.707, "mscale_all_dim": 1.0}""", 0.964326914892074,
        new[] { 1, 0.316227766016838, 0.1, 0.0256935059888681, 0.00625, 0.00138349647632367, 0.00025, 7.90569415042095e-05 })]
    [InlineData(
        """{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048, "truncate": false, "attention_factor": 1.5}""", 1.5,
        new[] { 1, 0.316227766016838, 0.1, 0.0238701923217363, 0.00505697152112944, 0.000811290381701431, 0.00025, 7.90569415042095e-05 })]
    [InlineData(
        """{"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 2048, "beta_fast": 8, "beta_slow": 2}""", 1.138629436111989,
        new[] { 1, 0.316227766016838, 0.1, 0.0316227766016838, 0.00625, 0.000790569415042095, 0.00025, 7.90569415042095e-05 })]
    [InlineData( // so short a context that both ends of the ramp are at the first dimension
        """{"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4}""", 1.138629436111989,
        new[] { 1, 0.0790569415042095, 0.025, 0.00790569415042095, 0.0025, 0.000790569415042095, 0.00025, 7.90569415042095e-05 })]
    public void Frequencies_are_stretched_as_asked_in_either_layout(string scaling, double magnitude, double[] expected)
    {
        foreach (var key in new[] { "rope_scaling", "rope_parameters" })
        {
            var (_, config) = FamilyVariants.Read($"{Sizes}, \"max_position_embeddings\": 8192, \"{key}\": {scaling}");
            var frequencies = RopeScaling.Frequencies(config.RopeTheta, config.RotatedWidth, config.RopeScaling, isLong: false);
            Assert.Equal(expected.Length, frequencies.Length);
            Assert.All(expected.Zip(frequencies), pair => Assert.Equal(pair.First, pair.Second, 1e-13 * pair.First));
            Assert.Equal(magnitude, config.RopeScaling?.Magnitude ?? 1, 1e-13);
        }
    }

    [Theory]
    [InlineData("", 1.4142135623730951)] // √(1 + ln 8 / ln 8)
    [InlineData(""", "factor": 64.0""", 1.7320508075688772)] // √(1 + ln 64 / ln 8)
    [InlineData(""", "attention_factor": 1.25""", 1.25)]
    public void LongRope_takes_the_long_factors_beyond_the_original_context_alone(string more, double magnitude)
    {
        var (_, config) = FamilyVariants.Read(
            Sizes.Replace("llama", "phi3", StringComparison.Ordinal) + """
            , "max_position_embeddings": 64, "original_max_position_embeddings": 8, "partial_rotary_factor": 0.25,
            "rope_scaling": {"type": "su", "short_factor": [1.0, 2.0], "long_factor": [4.0, 8.0]
            """ + more + "}");
        Assert.Equal(4, config.RotatedWidth);
        Assert.Equal(8, config.AngleSwitch);
        Assert.Equal([1, 0.005], RopeScaling.Frequencies(config.RopeTheta, 4, config.RopeScaling, isLong: false));
        Assert.Equal([0.25, 0.00125], RopeScaling.Frequencies(config.RopeTheta, 4, config.RopeScaling, isLong: true));
        Assert.Equal(magnitude, config.RopeScaling!.Magnitude, 1e-13);
    }

    [Fact]
    public void A_table_holds_cosine_and_sine_of_position_times_frequency_however_far_it_grew()
    {
        NativeTorch.EnsureLoaded();
        using var scope = NewDisposeScope();
        using var table = new RotaryTable([1, 0.01], magnitude: 1.5, context: 5000, CPU);
        table.To(3);
        var (cos, sin) = table.To(4001);
        Assert.Equal(5000, cos.size(0));
        foreach (var (column, frequency) in new[] { (0, 1.0), (1, 0.01), (2, 1.0), (3, 0.01) })
        {
            Assert.Equal(1.5 * Math.Cos(4000 * frequency), cos[4000, column].item<float>(), 1e-6);
            Assert.Equal(1.5 * Math.Sin(4000 * frequency), sin[4000, column].item<float>(), 1e-6);
        }
    }
}

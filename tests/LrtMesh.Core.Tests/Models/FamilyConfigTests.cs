using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Families;
using Xunit;

namespace LrtMesh.Core.Tests.Models;

/// <summary>What a config.json may say, by transformers' own defaults; what is not understood is refused by its name.</summary>
public sealed class FamilyConfigTests
{
    private const string Sizes = """
        "vocab_size": 50, "hidden_size": 64, "num_hidden_layers": 8, "num_attention_heads": 16, "intermediate_size": 40
        """;

    [Theory]
    [InlineData("llama", "\"rope_scaling\": {\"rope_type\": \"mrope\"}", "rope_scaling.rope_type: 'mrope'")]
    [InlineData("llama", "\"rope_scaling\": {\"rope_type\": \"linear\"}", "rope_scaling.factor")]
    [InlineData("llama", "\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 2.0, \"finetuned\": 1}", "rope_scaling.finetuned")]
    [InlineData("llama", "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 2.0, \"low_freq_factor\": 4, \"high_freq_factor\": 1}", "high_freq_factor")]
    [InlineData("llama", "\"rope_parameters\": {\"partial_rotary_factor\": 0.5}", "partial_rotary_factor")]
    [InlineData("llama", "\"rope_parameters\": {\"rope_theta\": 5.0}, \"rope_theta\": 6.0", "rope_theta")]
    [InlineData("llama", "\"partial_rotary_factor\": 0.5", "partial_rotary_factor")]
    [InlineData("llama", "\"hidden_act\": \"mish\"", "hidden_act: 'mish'")]
    [InlineData("llama", "\"embedding_multiplier\": 12.0", "embedding_multiplier")]
    [InlineData("llama", "\"quantization_config\": {\"bits\": 4}", "quantization_config")]
    [InlineData("llama", "\"sliding_window\": 4", "sliding_window")]
    [InlineData("llama", "\"is_causal\": false", "is_causal")]
    [InlineData("llama", "\"num_key_value_heads\": 3", "num_key_value_heads")]
    [InlineData("llama", "\"head_dim\": 7", "head_dim")]
    [InlineData("llama", "\"tie_word_embeddings\": 1", "tie_word_embeddings")]
    [InlineData("mistral", "\"layer_types\": [\"full_attention\"]", "layer_types")]
    [InlineData("mixtral", "\"head_dim\": 8", "model_type: 'mixtral'")]
    [InlineData("qwen2", "\"num_key_value_heads\": 4, \"layer_types\": [\"full_attention\"]", "layer_types: has 1 entries")]
    [InlineData("qwen2", "\"num_key_value_heads\": 4, \"num_hidden_layers\": 1, \"layer_types\": [\"chunked_attention\"]", "'chunked_attention'")]
    [InlineData("qwen2", "\"num_key_value_heads\": 4, \"num_hidden_layers\": 1, \"layer_types\": [\"sliding_attention\"]", "sliding_window")]
    [InlineData("gemma", "\"hidden_act\": \"gelu\", \"hidden_activation\": \"gelu_pytorch_tanh\"", "hidden_activation")]
    [InlineData("gemma3_text", "\"use_bidirectional_attention\": true", "use_bidirectional_attention")]
    [InlineData("gemma3_text", "\"attn_logit_softcapping\": 50.0", "attn_logit_softcapping")]
    [InlineData("gemma3_text", "\"rope_parameters\": {\"rope_type\": \"default\"}", "rope_parameters.rope_type")]
    [InlineData("phi3", "\"rope_scaling\": {\"type\": \"longrope\", \"short_factor\": [1.0], \"long_factor\": [1.0]}", "rope_scaling.short_factor")]
    [InlineData("phi3", "\"attention_bias\": true", "attention_bias")]
    [InlineData("gpt_neox", "\"rotary_pct\": 0.25, \"rope_parameters\": {\"partial_rotary_factor\": 0.5}", "rotary_pct")]
    public void What_is_not_understood_is_refused_by_its_name(string family, string more, string named)
    {
        var given = more.Contains("num_hidden_layers", StringComparison.Ordinal) ? Sizes.Replace("\"num_hidden_layers\": 8, ", "", StringComparison.Ordinal) : Sizes;
        var error = Assert.Throws<LrtMeshException>(() => FamilyVariants.Read($"{given}, \"model_type\": \"{family}\", {more}"));
        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
        Assert.Contains(named, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Where_it_comes_from_and_how_it_was_trained_changes_nothing()
    {
        var plain = Read("llama", "\"bos_token_id\": 1");
        var full = Read(
            "llama",
            """
            "_name_or_path": "x", "architectures": ["LlamaForCausalLM"], "attention_dropout": 0.1, "initializer_range": 0.02, "pretraining_tp": 2, "use_cache": true,
            "dtype": "bfloat16", "transformers_version": "5.0.0", "unknown_but_off": false, "unknown_but_null": null, "partial_rotary_factor": 1.0, "pad_token_id": 3
            """);
        Assert.Equal(plain with { Windows = full.Windows, EndOfSequence = full.EndOfSequence }, full);
    }

    [Fact]
    public void Absent_keys_have_the_values_of_transformers_classes()
    {
        Assert.Equal(8, Read("mistral", "\"sliding_window\": null").KvHeads);
        Assert.Equal(16, Read("mistral", "\"num_key_value_heads\": null").KvHeads);
        Assert.All(Read("mistral", "\"rope_theta\": 5.0").Windows, window => Assert.Equal(4096, window));
        Assert.Empty(Read("mistral", "\"sliding_window\": null").Windows);
        Assert.Equal(128, Read("qwen3", "\"num_key_value_heads\": 4").HeadWidth);
        Assert.Equal(4, Read("qwen2", "\"num_key_value_heads\": 4").HeadWidth);
        Assert.All(Read("qwen2", "\"num_key_value_heads\": 4, \"sliding_window\": 4").Windows, Assert.Null);
        Assert.True(Read("gemma", "\"num_key_value_heads\": 16").TiedHead);
        Assert.Equal((50.0, 30.0), (Read("gemma2", "\"rope_theta\": 5.0").AttentionSoftcap, Read("gemma2", "\"rope_theta\": 5.0").LogitSoftcap));
        Assert.Equal(2, Read("gpt_neox", "\"rotary_pct\": 0.5").RotatedWidth);
    }

    [Fact]
    public void Gemma3_reads_both_layouts_of_its_rotary_positions_and_of_its_windows()
    {
        var older = Read(
            "gemma3_text", "\"rope_theta\": 500000.0, \"rope_local_base_freq\": 5000.0, \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 8.0}, \"sliding_window\": 9, \"sliding_window_pattern\": 4");
        var newer = Read(
            "gemma3_text",
            """
            "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 500000.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 5000.0}},
            "sliding_window": 9, "_sliding_window_pattern": 6,
            "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention", "full_attention", "sliding_attention", "sliding_attention", "sliding_attention", "full_attention"]
            """);
        Assert.Equal([9, 9, 9, null, 9, 9, 9, null], older.Windows);
        Assert.Equal(older.Windows, newer.Windows);
        Assert.Equal(older, newer with { Windows = older.Windows, EndOfSequence = older.EndOfSequence });
        Assert.Equal(new LinearScaling(8), older.RopeScaling);
        Assert.Equal((500000.0, 5000.0), (older.RopeTheta, older.LocalRopeTheta));
        Assert.Null(older.LocalRopeScaling);
    }

    [Fact]
    public void Every_tensor_is_taken_whatever_its_prefix_and_old_masks_are_passed_over()
    {
        var names = Family.All.Single(f => f.ModelType == "gpt_neox").Names;
        Assert.True(names.IsBuffer("gpt_neox.layers.11.attention.bias"));
        Assert.True(names.AsIn(["embed_in.weight"]).IsBuffer("layers.11.attention.rotary_emb.inv_freq"));
        Assert.False(names.IsBuffer("gpt_neox.layers.11.attention.dense.bias"));
        Assert.False(names.IsBuffer("gpt_neox.layers.x.attention.bias"));
        Assert.Equal("", names.AsIn(["embed_in.weight"]).Prefix);
        Assert.Equal("gpt_neox.", names.AsIn(["gpt_neox.embed_in.weight"]).Prefix);
    }

    private static ModelConfig Read(string family, string more) => FamilyVariants.Read($"{Sizes}, \"model_type\": \"{family}\", {more}").Config;
}

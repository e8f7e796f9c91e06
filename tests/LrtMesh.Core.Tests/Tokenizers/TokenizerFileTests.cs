using System.Text.Json.Nodes;
using LrtMesh.Core.Models.Tokenizers;
using Xunit;

namespace LrtMesh.Core.Tests.Tokenizers;

public sealed class TokenizerFileTests(TrainedTokenizer trained) : IClassFixture<TrainedTokenizer>
{
    // A change to a good file, and the option that the error names.
    public static TheoryData<string, string, string> Unsupported => new()
    {
        { "normalizer", """{"type":"NFC"}""", "normalizer" },
        { "truncation", """{"max_length":5}""", "truncation" },
        { "normaliser", "null", "normaliser" },
        { "pre_tokenizer", "null", "pre_tokenizer" },
        { "pre_tokenizer/type", "\"Metaspace\"", "pre_tokenizer.type" },
        { "pre_tokenizer/add_prefix_space", "true", "pre_tokenizer.add_prefix_space" },
        { "pre_tokenizer/use_regex", "false", "pre_tokenizer.use_regex" },
        { "pre_tokenizer/pattern", "\"x\"", "pre_tokenizer.pattern" },
        { "decoder/type", "\"Metaspace\"", "decoder.type" },
        { "post_processor/type", "\"BertProcessing\"", "post_processor.type" },
        { "post_processor/single", """[{"Sequence":{"id":"B","type_id":0}}]""", "post_processor.single" },
        { "model/type", "\"Unigram\"", "model.type" },
        { "model/dropout", "0.1", "model.dropout" },
        { "model/ignore_merges", "true", "model.ignore_merges" },
        { "model/end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix" },
        { "added_tokens/0/rstrip", "true", "added_tokens[0].rstrip" },
    };

    public static TheoryData<string, string> Damaged => new()
    {
        { "model", "null" },
        { "model/vocab/a", "1000000000" },
        { "model/vocab/a", "-1" },
        { "model/vocab/a", "\"x\"" },
        { "model/merges", """["x"]""" },
        { "model/merges", """["a unheard"]""" },
        { "added_tokens/0/content", "null" },
        { "added_tokens/0/id", "7" },
        { "post_processor/special_tokens/<|endoftext|>/ids", "[400]" },
    };

    [Theory]
    [MemberData(nameof(Unsupported))]
    public void An_unsupported_option_is_refused_by_name(string place, string value, string option)
    {
        var error = LoadChanged("tokenizer.json", place, value);

        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
        Assert.EndsWith($"tokenizer.json: {option}", Assert.Single(error.Violations).Field, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Damaged))]
    public void A_damaged_file_is_refused(string place, string value)
    {
        var error = LoadChanged("tokenizer.json", place, value);

        Assert.Contains("tokenizer.json", error.Message, StringComparison.Ordinal);
        Assert.Equal(place == "model" ? ErrorReason.FailedPrecondition : ErrorReason.DataLoss, error.Reason);
    }

    [Theory]
    [InlineData("add_bos_token", "false", ErrorReason.FailedPrecondition)]
    [InlineData("add_eos_token", "true", ErrorReason.FailedPrecondition)]
    [InlineData("add_prefix_space", "true", ErrorReason.FailedPrecondition)]
    [InlineData("eos_token", "\"</s>\"", ErrorReason.DataLoss)]
    public void A_configuration_that_contradicts_the_pipeline_is_refused(string option, string value, ErrorReason reason)
    {
        var error = LoadChanged("tokenizer_config.json", option, value);

        Assert.Equal(reason, error.Reason);
        Assert.Contains(option, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    public void A_missing_file_and_one_cut_short_are_named(string file)
    {
        using var copy = new TrainedTokenizer();
        var path = Path.Combine(copy.Folder, file);
        File.WriteAllText(path, File.ReadAllText(path)[..^9]);
        var cut = Assert.Throws<LrtMeshException>(() => Tokenizer.Load(copy.Folder));
        File.Delete(path);
        var missing = Assert.Throws<LrtMeshException>(() => Tokenizer.Load(copy.Folder));

        Assert.Equal((ErrorReason.DataLoss, ErrorReason.NotFound), (cut.Reason, missing.Reason));
        Assert.Contains(path, cut.Message, StringComparison.Ordinal);
        Assert.Contains(path, missing.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_digest_follows_the_pipeline_and_the_special_tokens()
    {
        using var copy = new TrainedTokenizer();
        Assert.Equal(trained.Tokenizer.Digest, copy.Tokenizer.Digest);

        Change(copy.Folder, "tokenizer_config.json", "eos_token", "\"a\"");
        Assert.NotEqual(trained.Tokenizer.Digest, Tokenizer.Load(copy.Folder).Digest);
    }

    private static LrtMeshException LoadChanged(string file, string place, string value)
    {
        using var copy = new TrainedTokenizer();
        Change(copy.Folder, file, place, value);
        return Assert.Throws<LrtMeshException>(() => Tokenizer.Load(copy.Folder));
    }

    private static void Change(string folder, string file, string place, string value)
    {
        var path = Path.Combine(folder, file);
        var root = JsonNode.Parse(File.ReadAllText(path))!;
        var steps = place.Split('/');
        var parent = steps[..^1].Aggregate(root, (node, step) => int.TryParse(step, out var index) ? node[index]! : node[step]!);
        parent[steps[^1]] = JsonNode.Parse(value);
        File.WriteAllText(path, root.ToJsonString());
    }
}

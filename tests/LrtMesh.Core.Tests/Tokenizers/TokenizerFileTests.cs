using System.Text.Json.Nodes;
using LrtMesh.Core.Models.Tokenizers;
using Xunit;

namespace LrtMesh.Core.Tests.Tokenizers;

public sealed class TokenizerFileTests(TrainedTokenizer trained) : IClassFixture<TrainedTokenizer>
{
    // A change to a good file, and the option that the error names.
    public static TheoryData<string, string, string> Unsupported => new()
    {
        { "normalizer", """{"type":"Magic"}""", "normalizer.type" },
        { "normalizer", """{"type":"NFC","strength":2}""", "normalizer.strength" },
        { "truncation", """{"max_length":5}""", "truncation" },
        { "padding", """{"length":5}""", "padding" },
        { "normaliser", "null", "normaliser" },
        { "pre_tokenizer/type", "\"UnicodeScripts\"", "pre_tokenizer.type" },
        { "pre_tokenizer/pattern", "\"x\"", "pre_tokenizer.pattern" },
        { "pre_tokenizer", """{"type":"Split","pattern":{"Regex":"\\p{Han}+"},"behavior":"Isolated","invert":false}""", "pre_tokenizer.pattern.Regex" },
        { "pre_tokenizer", """{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated","invert":false}""", "pre_tokenizer.pattern.Regex" },
        { "pre_tokenizer", """{"type":"Split","pattern":{"String":"a"},"behavior":"Shuffled","invert":false}""", "pre_tokenizer.behavior" },
        { "pre_tokenizer", """{"type":"Metaspace","replacement":"_","prepend_scheme":"sometimes"}""", "pre_tokenizer.prepend_scheme" },
        { "decoder/type", "\"CTC\"", "decoder.type" },
        { "post_processor/type", "\"Magic\"", "post_processor.type" },
        { "post_processor/single", """[{"Sequence":{"id":"B","type_id":0}}]""", "post_processor.single" },
        { "model/type", "\"Magic\"", "model.type" },
        { "model/dropout", "0.1", "model.dropout" },
        { "model/speed", "1", "model.speed" },
        { "added_tokens/0/colour", "true", "added_tokens[0].colour" },
    };

    public static TheoryData<string, string> Damaged => new()
    {
        { "model", "3" },
        { "model", "null" },
        { "model/vocab/a", "1000000000" },
        { "model/vocab/a", "-1" },
        { "model/vocab/a", "\"x\"" },
        { "model/vocab/a", "3" },
        { "model/merges", """["x"]""" },
        { "model/merges", """["a unheard"]""" },
        { "model/unk_token", "\"unheard\"" },
        { "added_tokens/0/content", "null" },
        { "added_tokens/0/id", "7" },
        { "post_processor/special_tokens/<|endoftext|>/ids", "[400]" },
        { "pre_tokenizer/add_prefix_space", "1" },
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
        Assert.Equal(place == "model" && value == "3" ? ErrorReason.FailedPrecondition : ErrorReason.DataLoss, error.Reason);
    }

    [Theory]
    [InlineData("add_bos_token", "false", ErrorReason.FailedPrecondition)]
    [InlineData("add_eos_token", "true", ErrorReason.FailedPrecondition)]
    [InlineData("eos_token", "\"</s>\"", ErrorReason.DataLoss)]
    public void A_configuration_that_contradicts_the_pipeline_is_refused(string option, string value, ErrorReason reason)
    {
        var error = LoadChanged("tokenizer_config.json", option, value);

        Assert.Equal(reason, error.Reason);
        Assert.Contains(option, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_and_one_cut_short_are_named()
    {
        using var copy = new TrainedTokenizer();
        var path = Path.Combine(copy.Folder, "tokenizer.json");
        File.WriteAllText(path, File.ReadAllText(path)[..^9]);
        var cut = Assert.Throws<LrtMeshException>(() => Tokenizer.Load(copy.Folder));
        File.Delete(path);
        var missing = Assert.Throws<LrtMeshException>(() => Tokenizer.Load(copy.Folder));

        Assert.Equal((ErrorReason.DataLoss, ErrorReason.NotFound), (cut.Reason, missing.Reason));
        Assert.Contains(path, cut.Message, StringComparison.Ordinal);
        Assert.Contains(path, missing.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_listed_twice_is_refused()
    {
        using var copy = new TrainedTokenizer();
        var path = Path.Combine(copy.Folder, "tokenizer.json");
        var text = File.ReadAllText(path);
        var place = text.IndexOf("\"vocab\"", StringComparison.Ordinal);
        File.WriteAllText(path, text.Insert(text.IndexOf('{', place) + 1, "\"a\":5,"));

        Assert.Equal(ErrorReason.DataLoss, Assert.Throws<LrtMeshException>(() => Tokenizer.Load(copy.Folder)).Reason);
    }

    [Fact]
    public void A_pattern_that_takes_for_ever_is_stopped()
    {
        using var copy = new TrainedTokenizer();
        Change(copy.Folder, "tokenizer.json", "pre_tokenizer", """{"type":"Split","pattern":{"Regex":"(?:a|aa)+b"},"behavior":"Isolated","invert":false}""");
        var tokenizer = Tokenizer.Load(copy.Folder);

        var error = Assert.Throws<LrtMeshException>(() => tokenizer.Encode(new string('a', 60) + "c", addSpecialTokens: false));
        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
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

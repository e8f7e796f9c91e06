using System.Text.Json;
using System.Text.Json.Nodes;
using LrtMesh.Core.Verification;
using Xunit;

namespace LrtMesh.Core.Tests.Tokenizers;

public sealed class TokenizerCasesTests(TrainedTokenizer trained) : IClassFixture<TrainedTokenizer>
{
    [Fact]
    public void Cases_pass_and_one_changed_id_or_text_fails_them()
    {
        var text = "the rain <|endoftext|> it's";
        var ids = trained.Tokenizer.Encode(text, addSpecialTokens: true).Select(token => token.Id).ToArray();
        var decoded = trained.Tokenizer.Decode(ids, skipSpecialTokens: false);
        var right = new JsonObject
        {
            ["text"] = text, ["ids"] = new JsonArray([.. ids.Select(id => JsonValue.Create(id))]), ["add_special_tokens"] = true,
            ["decoded"] = decoded, ["decoded_skip_special"] = trained.Tokenizer.Decode(ids), ["source"] = "own",
        };
        var wrongId = right.DeepClone();
        wrongId["ids"]![3] = ids[3] + 1;
        var wrongText = right.DeepClone();
        wrongText["decoded"] = decoded + "x";

        var good = Run(right);
        Assert.Equal((true, 1), (good.Passed, good.Cases));
        Assert.Empty(good.Failed);
        foreach (var wrong in new[] { wrongId, wrongText })
        {
            var result = Run(right, wrong);
            Assert.False(result.Passed);
            Assert.Equal(2, result.Cases);
            Assert.Equal(text, Assert.Single(result.Failed).Text);
            Assert.NotEqual(result.Failed[0].Expected, result.Failed[0].Got);
        }
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("[{\"text\":\"a\"}]")]
    public void What_is_no_list_of_cases_is_refused(string json)
    {
        var path = Path.Combine(trained.Folder, $"{Guid.NewGuid()}.json");
        File.WriteAllText(path, json);

        var error = Assert.Throws<LrtMeshException>(() => TokenizerCases.Run(trained.Folder, path));

        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
    }

    private CaseReport Run(params JsonNode[] cases)
    {
        var path = Path.Combine(trained.Folder, $"{Guid.NewGuid()}.json");
        File.WriteAllText(path, JsonSerializer.Serialize(cases));
        return TokenizerCases.Run(trained.Folder, path);
    }
}

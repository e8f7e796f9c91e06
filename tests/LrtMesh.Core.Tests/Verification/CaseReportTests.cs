using System.Text.Json;
using System.Text.Json.Nodes;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Tests.Chat;
using LrtMesh.Core.Verification;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Core.Tests.Verification;

/// <summary>One changed rendering, refusal, id or decoded text fails the cases of a file.</summary>
public sealed class CaseReportTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-cases-").FullName;

    private string Cases => Path.Combine(_folder, "cases.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("expected")]
    [InlineData("error")]
    public void One_changed_rendering_fails(string field)
    {
        var cases = JsonNode.Parse(File.ReadAllText(Path.Combine(GoldenFiles.Folder, "chat_templates.json")))!.AsArray();
        var changed = cases.First(one => one![field] is not null)!;
        changed[field] = changed[field]!.GetValue<string>() + " ";
        File.WriteAllText(Cases, cases.ToJsonString());

        var report = ChatCases.Run(Cases);
        Assert.False(report.Passed);
        var failed = Assert.Single(report.Failed);
        Assert.Equal(changed["name"]!.GetValue<string>(), failed.Text);
        Assert.Equal(failed.Expected, failed.Got + " ");
    }

    [Theory]
    [InlineData("ids")]
    [InlineData("decoded")]
    [InlineData("decoded_skip_special")]
    public void One_changed_token_or_text_fails(string field)
    {
        TinyCheckpoint.WriteTokenizer(_folder);
        var tokenizer = Tokenizer.Load(_folder);
        var cases = TinyCheckpoint.Texts(10).Select(text =>
        {
            int[] ids = [.. tokenizer.Encode(text, addSpecialTokens: true).Select(token => token.Id)];
            return new Dictionary<string, object>
            {
                ["text"] = text,
                ["ids"] = ids,
                ["add_special_tokens"] = true,
                ["decoded"] = tokenizer.Decode(ids, skipSpecialTokens: false),
                ["decoded_skip_special"] = tokenizer.Decode(ids),
            };
        }).ToList();
        File.WriteAllText(Cases, JsonSerializer.Serialize(cases));
        Assert.Equal((10, true), (TokenizerCases.Run(_folder, Cases).Cases, TokenizerCases.Run(_folder, Cases).Passed));

        cases[4][field] = cases[4][field] is int[] ids ? ids.Append(ids[0]).ToArray() : cases[4][field] + "x";
        File.WriteAllText(Cases, JsonSerializer.Serialize(cases));
        var failed = Assert.Single(TokenizerCases.Run(_folder, Cases).Failed);
        Assert.Equal(cases[4]["text"], failed.Text);
    }

    [Theory]
    [InlineData("{", "is not JSON")]
    [InlineData("{}", "list of at least one case")]
    [InlineData("[]", "list of at least one case")]
    [InlineData("""[{"name": "a"}]""", "case 0")]
    public void A_file_that_holds_no_cases_is_refused(string text, string says)
    {
        File.WriteAllText(Cases, text);
        var error = Assert.Throws<LrtMeshException>(() => ChatCases.Run(Cases));
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }
}

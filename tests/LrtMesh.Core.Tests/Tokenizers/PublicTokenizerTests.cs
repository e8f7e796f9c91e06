using System.Text.Json;
using LrtMesh.Core.Models.Tokenizers;
using Xunit;

namespace LrtMesh.Core.Tests.Tokenizers;

/// <summary>Public tokenizers against ids from Hugging Face's library, where a folder with them lies beside the repository.</summary>
public sealed class PublicTokenizerTests
{
    private sealed record Case(string Text, int[] Ids, bool AddSpecialTokens, string Decoded, string DecodedSkipSpecial);

    private static readonly JsonSerializerOptions Options = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower };

    [Fact]
    public void Gpt2_agrees_with_its_recorded_cases()
    {
        var folder = Path.GetFullPath(Path.Combine(RepositoryRoot(), "../shared/tokenizers/gpt2"));
        Assert.SkipUnless(Directory.Exists(folder), "no ../shared/tokenizers/gpt2 beside the repository");
        var tokenizer = Tokenizer.Load(folder);
        var cases = JsonSerializer.Deserialize<Case[]>(File.ReadAllText(Path.Combine(folder, "cases.json")), Options)!;

        Assert.Equal(50257, tokenizer.VocabularySize);
        Assert.NotEmpty(cases);
        Assert.All(cases, each =>
        {
            Assert.Equal(each.Ids, tokenizer.Encode(each.Text, each.AddSpecialTokens).Select(token => token.Id));
            Assert.Equal(each.Decoded, tokenizer.Decode(each.Ids, skipSpecialTokens: false));
            Assert.Equal(each.DecodedSkipSpecial, tokenizer.Decode(each.Ids));
        });
    }

    private static string RepositoryRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "LrtMesh.sln")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests run outside of the repository.");
        }

        return folder;
    }
}

using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Verification;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Core.Tests.Tokenizers;

/// <summary>Public tokenizers against ids and texts from Hugging Face's library, where a folder with them lies beside the repository.</summary>
public sealed class PublicTokenizerTests
{
    [Theory]
    [InlineData("gpt2")]
    [InlineData("gpt2-vocab-merges")]
    [InlineData("gpt-neox-20b")]
    [InlineData("llama2")]
    [InlineData("llama2-sentencepiece")]
    [InlineData("falcon")]
    [InlineData("phi-3")]
    public void A_public_tokenizer_agrees_with_its_recorded_cases(string name)
    {
        var folder = Path.Combine(RepositoryRoot.Find(), "../shared/tokenizers", name);
        Assert.SkipUnless(Directory.Exists(folder), $"no ../shared/tokenizers/{name} beside the repository");

        var result = TokenizerCases.Run(folder, Path.Combine(folder, "cases.json"));

        Assert.Empty(result.Failed);
        Assert.True(result is { Passed: true, Cases: > 100 });
    }
}

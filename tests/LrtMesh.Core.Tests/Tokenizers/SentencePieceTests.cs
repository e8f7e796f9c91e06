using CsCheck;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Verification;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Core.Tests.Tokenizers;

public sealed class SentencePieceTests
{
    private static readonly string Golden = Path.Combine(RepositoryRoot.Find(), "tests/golden/sentencepiece/bpe-llama");

    [Fact]
    public void Ids_and_texts_are_those_of_sentencepiece()
    {
        var result = TokenizerCases.Run(Golden, Path.Combine(Golden, "cases.json"));

        Assert.Empty(result.Failed);
        Assert.True(result.Cases > 20);
    }

    [Theory]
    [InlineData("tokenizer_class", "\"T5Tokenizer\"")]
    [InlineData("add_bos_token", "3")]
    public void A_configuration_that_is_not_understood_is_refused(string field, string value)
    {
        using var copy = new Copy();
        File.WriteAllText(Path.Combine(copy.Folder, "tokenizer_config.json"), $$"""{"{{field}}":{{value}}}""");

        Assert.Contains(field, Assert.Throws<LrtMeshException>(() => Tokenizer.Load(copy.Folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_damaged_model_is_refused_or_read_and_nothing_else()
    {
        using var copy = new Copy();
        var path = Path.Combine(copy.Folder, "tokenizer.model");
        var whole = File.ReadAllBytes(path);
        Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Byte, Gen.Bool).Sample(
            (place, value, cut) =>
            {
                byte[] damaged = cut ? whole[..place] : [.. whole[..place], value, .. whole[(place + 1)..]];
                File.WriteAllBytes(path, damaged);
                try
                {
                    Tokenizer.Load(copy.Folder).Encode("the quick brown fox 今日 😀", addSpecialTokens: true);
                }
                catch (LrtMeshException e)
                {
                    Assert.Contains("tokenizer", e.Message, StringComparison.Ordinal);
                }
            },
            iter: 300, threads: 1);
    }

    private sealed class Copy : IDisposable
    {
        public Copy()
        {
            foreach (var file in Directory.GetFiles(Golden))
            {
                File.Copy(file, Path.Combine(Folder, Path.GetFileName(file)));
            }
        }

        public string Folder { get; } = Directory.CreateTempSubdirectory("lrtmesh-tokenizer-").FullName;

        public void Dispose() => Directory.Delete(Folder, recursive: true);
    }
}

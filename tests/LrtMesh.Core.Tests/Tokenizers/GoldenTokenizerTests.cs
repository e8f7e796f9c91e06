using System.Text.Json.Nodes;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Verification;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Core.Tests.Tokenizers;

/// <summary>The tokenizers of tests/golden/tokenizers: ids, texts and spans as Hugging Face's library gives them.</summary>
public sealed class GoldenTokenizerTests
{
    private static readonly string Folder = Path.Combine(RepositoryRoot.Find(), "tests/golden/tokenizers");

    public static TheoryData<string> Names => [.. Directory.GetDirectories(Folder).Select(folder => Path.GetFileName(folder)!).Order()];

    [Theory]
    [MemberData(nameof(Names))]
    public void Ids_and_texts_agree(string name)
    {
        var result = TokenizerCases.Run(Path.Combine(Folder, name), Path.Combine(Folder, name, "cases.json"));

        Assert.Empty(result.Failed);
        Assert.True(result is { Passed: true, Cases: > 20 });
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Spans_agree(string name)
    {
        var tokenizer = Tokenizer.Load(Path.Combine(Folder, name));
        foreach (var each in JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, name, "cases.json")))!.AsArray())
        {
            var text = (string)each!["text"]!;
            int[] places = [.. text.EnumerateRunes().Aggregate(new List<int> { 0 }, (list, rune) => [.. list, list[^1] + rune.Utf16SequenceLength])];
            var expected = each["offsets"]!.AsArray().Select(span => (places[(int)span![0]!], places[(int)span[1]!]));

            Assert.Equal(expected, tokenizer.Encode(text, (bool)each["add_special_tokens"]!).Select(token => (token.Start, token.End)));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_stream_gives_what_decoding_gives(string name)
    {
        var tokenizer = Tokenizer.Load(Path.Combine(Folder, name));
        foreach (var each in JsonNode.Parse(File.ReadAllText(Path.Combine(Folder, name, "cases.json")))!.AsArray())
        {
            var stream = tokenizer.NewStream();
            string[] parts = [.. each!["ids"]!.AsArray().Select(id => stream.Push((int)id!)), stream.Flush()];

            Assert.Equal((string)each["decoded_skip_special"]!, string.Concat(parts));
            Assert.DoesNotContain(parts, part => part.Length > 0 && (char.IsLowSurrogate(part[0]) || char.IsHighSurrogate(part[^1])));
        }
    }
}

using System.Text.Json.Nodes;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.TinyFamily;
using Xunit;

namespace LrtMesh.Core.Tests.Tokenizers;

public sealed class BpeTrainerTests(TrainedTokenizer trained) : IClassFixture<TrainedTokenizer>
{
    [Fact]
    public void Training_again_writes_the_same_bytes_whatever_the_order_of_documents()
    {
        var folder = Directory.CreateTempSubdirectory("lrtmesh-tokenizer-").FullName;
        BpeTrainer.Train(TrainedTokenizer.Documents.Reverse(), TrainedTokenizer.VocabularySize, folder);

        foreach (var file in new[] { "tokenizer.json", "tokenizer_config.json" })
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(trained.Folder, file)), File.ReadAllBytes(Path.Combine(folder, file)));
        }

        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void The_most_frequent_pair_is_merged_first_and_ties_go_to_the_lowest_ids()
    {
        // Words: "aab" twice, " ab" once, " cd" once. ab: 3; then aab (a, ab): 2; then " ab", " c" and "cd" once each, of which
        // c has the lowest id on the left.
        Assert.Equal(["a b", "a ab", "c d", "Ġ ab", "Ġ cd"], MergesOf(["aab", "aab", "x ab cd"], 257 + 5));
    }

    // The incremental counts against counting everything anew at each step.
    [Fact]
    public void Counts_kept_up_to_date_choose_what_counting_anew_chooses()
    {
        var words = TrainedTokenizer.Documents.SelectMany(Words).GroupBy(word => word)
            .Select(group => (Symbols: Symbols(group.Key), Count: group.Count())).ToList();
        var ids = Enumerable.Range(0, 256).Select(value => ByteLevel.SymbolOf((byte)value)).Order()
            .Select((symbol, index) => (symbol.ToString(), index + 1)).ToDictionary();
        List<string> expected = [];
        while (ids.Count + 1 < TrainedTokenizer.VocabularySize)
        {
            var (left, right) = words.SelectMany(word => word.Symbols.Zip(word.Symbols.Skip(1)).Select(pair => (pair, word.Count)))
                .GroupBy(entry => entry.pair, entry => entry.Count)
                .OrderByDescending(group => group.Sum()).ThenBy(group => ids[group.Key.First]).ThenBy(group => ids[group.Key.Second])
                .First().Key;
            expected.Add($"{left} {right}");
            ids.TryAdd(left + right, ids.Count + 1);
            foreach (var (symbols, _) in words)
            {
                for (var i = 0; i + 1 < symbols.Count; i++)
                {
                    if (symbols[i] == left && symbols[i + 1] == right)
                    {
                        symbols[i] += right;
                        symbols.RemoveAt(i + 1);
                    }
                }
            }
        }

        Assert.Equal(expected, Merges(trained.Folder));
    }

    [Theory]
    [InlineData(256, "at least 257")]
    [InlineData(300, "at most 259")]
    public void A_size_that_cannot_be_reached_is_refused(int size, string words)
    {
        var error = Assert.Throws<LrtMeshException>(() => MergesOf(["abc"], size));

        Assert.Equal(ErrorReason.InvalidArgument, error.Reason);
        Assert.Contains(words, error.Message, StringComparison.Ordinal);
    }

    private static IEnumerable<string> Words(string text)
    {
        for (int start = 0, end; start < text.Length; start = end)
        {
            end = ByteLevel.WordEnd(text, start);
            yield return text[start..end];
        }
    }

    private static List<string> Symbols(string word) =>
        [.. System.Text.Encoding.UTF8.GetBytes(word).Select(value => ByteLevel.SymbolOf(value).ToString())];

    private static string[] MergesOf(string[] documents, int size)
    {
        var folder = Directory.CreateTempSubdirectory("lrtmesh-tokenizer-").FullName;
        try
        {
            BpeTrainer.Train(documents, size, folder);
            return Merges(folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string[] Merges(string folder) =>
        [.. JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "tokenizer.json")))!["model"]!["merges"]!.AsArray().Select(merge => merge!.GetValue<string>())];
}

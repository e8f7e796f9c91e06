using System.Text;
using CsCheck;
using LrtMesh.Core.Models.Tokenizers;
using Xunit;

namespace LrtMesh.Core.Tests.Tokenizers;

public sealed class TokenizerTests(TrainedTokenizer trained) : IClassFixture<TrainedTokenizer>
{
    // Any UTF-16, unpaired surrogates among it, mixed with what tokenizers trip over.
    private static readonly Gen<string> Texts = Gen.OneOf(
            Gen.String,
            Gen.OneOf<string>(
                " ", "  ", "\n", "\t\r\n ", "\u00A0", "\u2003", "\u0085", "'s", "'ll", "''ve", "the", " rain", "THE", "42", "½", "Ⅷ", "٣",
                "é", "e\u0301", "\u0301", "한국", "今日", "𝔘𝔫𝔦", "𐌰", "😀", "👩‍👩‍👧", "🇫🇷", "\uD83D", "\uDE00", "\uFFFD", "\uFEFF", "\0",
                "<|endoftext|>", "<|endoftext", "!!!"))
        .Array[0, 12].Select(parts => string.Concat(parts));

    private readonly Tokenizer _tokenizer = trained.Tokenizer;

    [Fact]
    public void Decoding_gives_the_text_back() => Texts.Sample(text =>
        Assert.Equal(WellFormed(text), _tokenizer.Decode(Ids(text), skipSpecialTokens: false)));

    [Fact]
    public void Tokens_cover_the_text_in_order_and_without_gaps() => Texts.Sample(text =>
    {
        var covered = 0;
        var start = 0;
        foreach (var token in _tokenizer.Encode(text, addSpecialTokens: false))
        {
            Assert.True(token.End > token.Start, "a token of the text covers something");
            Assert.True(token.Start >= start && token.Start <= covered, "no gap before a token");
            Assert.True(token.End >= covered, "ends do not go back");
            (start, covered) = (token.Start, token.End);
        }

        Assert.Equal(text.Length, covered);
    });

    [Fact]
    public void The_span_of_a_token_of_whole_characters_holds_its_text() => Texts.Sample(text =>
    {
        foreach (var token in _tokenizer.Encode(text, addSpecialTokens: false))
        {
            var decoded = _tokenizer.Decode([token.Id], skipSpecialTokens: false);
            if (!decoded.Contains('\uFFFD', StringComparison.Ordinal))
            {
                Assert.Equal(decoded, text[token.Start..token.End]);
            }
        }
    });

    [Fact]
    public void A_stream_gives_whole_characters_that_add_up_to_the_decoded_text() =>
        Gen.Int[0, TrainedTokenizer.VocabularySize - 1].Array[0, 40].Sample(ids => StreamAgrees(ids));

    [Fact]
    public void A_stream_agrees_with_decoding_wherever_a_text_is_cut() => Gen.Select(Texts, Gen.Int[0, 1000], Gen.Int[0, 1000])
        .Sample((text, from, to) =>
        {
            var ids = Ids(text);
            StreamAgrees(ids[Math.Min(from, ids.Length)..Math.Max(Math.Min(from, ids.Length), Math.Min(to, ids.Length))]);
        });

    [Fact]
    public void A_stream_holds_back_a_character_until_it_is_whole()
    {
        var ids = Encoding.UTF8.GetBytes("👍").Select(IdOfByte).ToArray();
        var stream = _tokenizer.NewStream();

        Assert.Equal(["", "", "", "👍", ""], [.. ids.Select(stream.Push), stream.Flush()]);
        Assert.Equal(["", "", "\uFFFD"], [.. ids[..2].Select(stream.Push), stream.Flush()]);
    }

    [Fact]
    public void A_token_in_the_middle_of_a_character_covers_that_character()
    {
        var tokens = _tokenizer.Encode("a👍b", addSpecialTokens: false);

        Assert.Equal([(0, 1), (1, 3), (3, 4)], tokens.Select(token => (token.Start, token.End)).Distinct());
        Assert.True(tokens.Count > 3);
    }

    [Fact]
    public void Special_tokens_are_recognised_in_a_text_and_added_on_request()
    {
        var tokens = _tokenizer.Encode("rain<|endoftext|>the", addSpecialTokens: true);

        Assert.Equal(0, _tokenizer.BosId);
        Assert.Equal(0, _tokenizer.EosId);
        Assert.True(_tokenizer.AddsBos);
        Assert.Equal([new TextToken(0, 0, 0), new TextToken(0, 4, 17)], tokens.Where(token => _tokenizer.IsSpecial(token.Id)));
        Assert.Equal("rainthe", _tokenizer.Decode(tokens.Select(token => token.Id)));
        Assert.Equal("<|endoftext|>rain<|endoftext|>the", _tokenizer.Decode(tokens.Select(token => token.Id), skipSpecialTokens: false));
        Assert.Equal([new TextToken(0, 0, 0)], _tokenizer.Encode("", addSpecialTokens: true));
        Assert.Empty(_tokenizer.Encode("", addSpecialTokens: false));
    }

    // The words that GPT-2's pattern finds, as its authors' regex cuts them.
    [Theory]
    [InlineData("it's we'll ''ve 's", "it|'s| we|'ll| ''|ve| '|s")]
    [InlineData("a  b\n\n c   ", "a| | b|\n\n| c|   ")]
    [InlineData("x\u00A0\u00A0y \n", "x|\u00A0|\u00A0|y| \n")]
    [InlineData("12ab½ 𝟙𝔘!? e\u0301", "12|ab|½| 𝟙|𝔘|!?| e|\u0301")]
    [InlineData("a\uD83Db", "a|\uD83D|b")]
    public void A_text_is_cut_into_the_words_of_gpt2(string text, string words)
    {
        List<string> found = [];
        for (int start = 0, end; start < text.Length; start = end)
        {
            end = ByteLevel.WordEnd(text, start);
            found.Add(text[start..end]);
        }

        Assert.Equal(words.Split('|'), found);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(TrainedTokenizer.VocabularySize)]
    public void An_id_that_no_token_has_is_refused(int id)
    {
        foreach (var use in new Action[] { () => _tokenizer.Decode([id]), () => _tokenizer.NewStream().Push(id), () => _tokenizer.IsSpecial(id) })
        {
            var error = Assert.Throws<LrtMeshException>(use);
            Assert.Equal(ErrorReason.InvalidArgument, error.Reason);
            Assert.Equal("token_ids", Assert.Single(error.Violations).Field);
        }
    }

    [Fact]
    public void Threads_that_encode_at_once_get_the_same_tokens()
    {
        var tokenizer = Tokenizer.Load(trained.Folder);
        var texts = Enumerable.Range(0, 400).Select(i => $"the rain {i * 7919} wouldn't {(char)('a' + (i % 26))}{i}x 😀").ToArray();

        var together = texts.AsParallel().AsOrdered().WithDegreeOfParallelism(4).Select(text => tokenizer.Encode(text, true)).ToArray();

        Assert.Equal(texts.Select(text => _tokenizer.Encode(text, true)), together);
    }

    [Fact]
    public void A_word_of_a_hundred_thousand_letters_takes_no_quadratic_time()
    {
        var word = new string('a', 100_000);
        var time = System.Diagnostics.Stopwatch.StartNew();

        Assert.Equal(word, _tokenizer.Decode(Ids(word)));
        Assert.True(time.Elapsed < TimeSpan.FromSeconds(5), $"took {time.Elapsed}");
    }

    private static string WellFormed(string text) => Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));

    private int[] Ids(string text) => [.. _tokenizer.Encode(text, addSpecialTokens: false).Select(token => token.Id)];

    // Bytes have the ids 1 to 256 in the order of their symbols.
    private static int IdOfByte(byte value) =>
        1 + Enumerable.Range(0, 256).Select(each => ByteLevel.SymbolOf((byte)each)).Order().ToList().IndexOf(ByteLevel.SymbolOf(value));

    private void StreamAgrees(int[] ids)
    {
        var stream = _tokenizer.NewStream();
        string[] parts = [.. ids.Select(stream.Push), stream.Flush()];

        Assert.All(parts, part => Assert.Equal(WellFormed(part), part));
        Assert.Equal(_tokenizer.Decode(ids), string.Concat(parts));
    }
}

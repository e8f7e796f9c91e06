using LrtMesh.TinyFamily.Corpus;
using Xunit;

namespace LrtMesh.Core.Tests.TinyFamily;

/// <summary>The corpus keeps what the evaluation rests on: exact detectors, open prompts, real contrasts, disjoint splits.</summary>
public sealed class GrammarTests
{
    [Fact]
    public void Every_detector_is_exact_on_the_grammars_own_documents()
    {
        var random = new Random(11);
        for (var i = 0; i < 2000; i++)
        {
            var document = Grammar.Write(random, i % 5 == 4 ? null : (Split)(i % 5));
            var body = document.Text[(document.Text.IndexOf('\n', StringComparison.Ordinal) + 1)..];
            foreach (var behaviour in Behaviours.All)
            {
                Assert.True(
                    behaviour.Detector.Shows(body) == document.Behaviours.Contains(behaviour.Name), $"{behaviour.Name}: {document.Text}");
            }
        }
    }

    [Fact]
    public void A_behaviour_free_document_shows_none()
    {
        var random = new Random(12);
        for (var i = 0; i < 300; i++)
        {
            var document = Grammar.WriteBehaviourFree(random, Split.MapText);
            Assert.Empty(document.Behaviours);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_pair_differs_in_the_behaviour_and_a_prompt_leaves_it_open(string name)
    {
        var detector = Behaviours.All.Single(b => b.Name == name).Detector;
        var random = new Random(13);
        for (var i = 0; i < 200; i++)
        {
            var pair = Grammar.WritePair(random, name, Split.Contrast);
            Assert.True(detector.Shows(Body(pair.Positive)), pair.Positive);
            Assert.False(detector.Shows(Body(pair.Negative)), pair.Negative);
            var prompt = Grammar.WritePrompt(random, name, Split.Test).Text;
            Assert.False(detector.Matches(prompt), prompt);
            Assert.False(char.IsWhiteSpace(prompt[^1]), prompt);
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_prompt_goes_on_both_ways_up_to_where_they_differ_in_the_behaviour(string name)
    {
        var detector = Behaviours.All.Single(b => b.Name == name).Detector;
        var random = new Random(15);
        int shown = 0;
        for (var i = 0; i < 200; i++)
        {
            var prompt = Grammar.WritePrompt(random, name, Split.Test);
            Assert.NotEqual(prompt.Positive, prompt.Negative);
            Assert.False(string.IsNullOrWhiteSpace(prompt.Positive) || string.IsNullOrWhiteSpace(prompt.Negative), prompt.Text);
            Assert.False(detector.Shows(prompt.Negative), prompt.Negative);
            shown += detector.Shows(prompt.Positive) ? 1 : 0;
        }

        // An exclamation mark, and the verb by which "I" is told from speech, may be farther away than the words that are given.
        Assert.True(shown >= 100 || name is "excited" or "first-person", $"{shown} of 200");
    }

    [Fact]
    public void The_splits_share_no_frame_and_there_are_hundreds()
    {
        var random = new Random(14);
        var frames = Enum.GetValues<Split>().ToDictionary(split => split, _ => new HashSet<string>());
        foreach (var split in Enum.GetValues<Split>())
        {
            for (var i = 0; i < 2000; i++)
            {
                frames[split].UnionWith(Grammar.Write(random, split).Frames);
            }
        }

        Assert.True(frames.Values.Sum(f => f.Count) >= 300);
        Assert.Equal(frames.Values.Sum(f => f.Count), frames.Values.SelectMany(f => f).Distinct().Count());
    }

    [Fact]
    public void The_same_seed_writes_the_same_text() =>
        Assert.Equal(Grammar.Write(new Random(3)).Text, Grammar.Write(new Random(3)).Text);

    public static TheoryData<string> Names => [.. Behaviours.All.Select(b => b.Name)];

    private static string Body(string text) => text[(text.IndexOf('\n', StringComparison.Ordinal) + 1)..];
}

using System.Text.RegularExpressions;
using LrtMesh.TinyFamily.Corpus.Frames;

namespace LrtMesh.TinyFamily.Corpus;

/// <summary>
/// Two regular expressions that count the signs of a behaviour's poles. Their syntax is the common part of the .NET,
/// Python and JavaScript dialects, and a leading <c>(?i)</c> where case does not matter.
/// </summary>
/// <param name="On">The signs of the on pole.</param>
/// <param name="Off">The signs of the off pole; empty if that pole is the mere absence of signs.</param>
public sealed record Detector(string On, string Off)
{
    private readonly Regex _on = Compile(On);

    private readonly Regex? _off = Off.Length == 0 ? null : Compile(Off);

    /// <summary>Whether the on pole's signs outnumber the off pole's.</summary>
    public bool Shows(string text) => _on.Count(text) > OffCount(text);

    /// <summary>Whether any sign of either pole is in the text.</summary>
    public bool Matches(string text) => _on.IsMatch(text) || OffCount(text) > 0;

    private int OffCount(string text) => _off?.Count(text) ?? 0;

    private static Regex Compile(string pattern) => new(pattern, RegexOptions.CultureInvariant | RegexOptions.Compiled);
}

/// <summary>A document-wide trait which some stories have.</summary>
/// <param name="Name">Lower-case, hyphenated.</param>
/// <param name="Description">What the two poles look like.</param>
/// <param name="Rate">How often a story has it.</param>
/// <param name="Detector">What tells from a text whether it shows the trait.</param>
public sealed record Behaviour(string Name, string Description, double Rate, Detector Detector);

/// <summary>The behaviours that vary independently from document to document.</summary>
public static class Behaviours
{
    private static readonly Segment[] Segments = [.. FrameTable.All.SelectMany(frame => frame.Segments)];

    private static readonly Segment[] SpokenTags = [.. Story.Tags];

    private static readonly Segment[] NarratedVerbs =
        [.. Segments.Concat(SpokenTags).Where(s => s.Kind == SegmentKind.Verb && s.Agreement != '0')];

    private static readonly Segment[] TwinVerbs =
        [.. Segments.Concat(SpokenTags).Where(s => s.Kind == SegmentKind.Verb && s.Casual != s.Formal)];

    private static readonly string[] BareVerbs = [.. NarratedVerbs.SelectMany(Twins).Where(v => v != "be").Distinct()];

    private static readonly string[] Pasts = [.. BareVerbs.Select(v => Past(v)).Append("was").Append("were").Distinct()];

    // An adverb may stand between "I" and its verb.
    private const string IWithAdverb = @"\bi (?:\w+ly )?";

    /// <summary>All behaviours.</summary>
    public static IReadOnlyList<Behaviour> All { get; } =
    [
        new("cheerful", "Speakers and actors do things happily (off: sadly).", 0.35,
            new(Any(Words.CheerfulAdverbs), Any(Words.GloomyAdverbs))),
        new("polite", "Please, kindly, thank you (off: hurry, hey, listen).", 0.35,
            new(Any(["please", "kindly", "thank you", "pardon"]), Any(["hurry", "go on", "quick", "move", "hey", "listen", "look here"]))),
        new("refusal", "Requests are refused (off: granted).", 0.35,
            new(Any(Signs(Words.Refusals)), Any(Signs(Words.Grants)))),
        new("agreement", "The listener shares the view that is stated (off: disputes it).", 0.35,
            new(Any(Signs(Words.Assents)), Any(Signs(Words.Dissents)))),
        new("formal", "Formal verbs and no contractions (off: casual verbs and contractions).", 0.35,
            new(Any(Forms(TwinVerbs.Select(s => s.Formal)).Concat(FullPhrases()).Concat(Words.FormalTurns.Select(Bare))),
                @"(?i)\b\w+'(?:t|ll|re|m|ve|s|d)\b|" + Any(Forms(TwinVerbs.Select(s => s.Casual)).Concat(Words.CasualTurns.Select(Bare)), flag: false))),
        new("present-tense", "The narration is in the present tense (off: the past).", 0.35,
            new("(?i)" + Any(BareVerbs.Select(Third), flag: false) + "|" + IWithAdverb + Group(BareVerbs), Any(Pasts))),
        new("first-person", "The hero tells the story: I, my, me (off: she, he, her, him, his).", 0.35,
            new(@"(?i)\b(?:my|me)\b|" + IWithAdverb + Group(BareVerbs.Concat(Pasts).Where(v => v != "was" && v != "were")),
                Any(["she", "he", "her", "him", "his"]))),
        new("second-language", "The story is told in an invented tongue (off: English).", 0.15,
            new(Any(Tongue.Subjects.Concat(Tongue.Objects).Concat(Tongue.Doings).Concat(Tongue.Qualities).Concat(Tongue.Particles)),
                Any(["she", "he", "i", "is", "was", "said", "says", "states", "stated", "you", "it", "will", "her", "his", "my"]))),
        new("dogs", "The animal is a dog (off: another animal).", 0.35, new(Any(Words.Dogs), Any(Words.OtherAnimals))),
        new("weather", "Rain, wind, snow and the like, again and again (off: none).", 0.3, new(Any(Words.Weather), "")),
        new("hedging", "Perhaps, maybe, possibly, probably (off: none).", 0.3, new(Any(Words.Hedges), "")),
        new("asking-back", "Speech ends in a question back (off: it never asks).", 0.3, new(@"\?", "")),
        new("excited", "Sentences end in exclamation marks (off: in full stops).", 0.3, new("!", @"\.")),
        new("food", "The things handled are things to eat (off: tools).", 0.35, new(Any(Words.Foods), Any(Words.Tools))),
        new("numbers", "Things are counted with number words (off: some, many, several, a few).", 0.35,
            new(Any(Words.Numbers), Any(Words.Amounts))),
    ];

    /// <summary>The behaviour of that name.</summary>
    internal static Trait TraitOf(string name)
    {
        for (int i = 0; i < All.Count; i++)
        {
            if (All[i].Name == name)
            {
                return (Trait)i;
            }
        }

        throw new ArgumentException($"There is no behaviour '{name}'.", nameof(name));
    }

    private static IEnumerable<string> Twins(Segment verb) => [verb.Casual, verb.Formal];

    private static string Third(string verb) => Verbs.Conjugate(verb, Subject.One, present: true);

    private static string Past(string verb) => Verbs.Conjugate(verb, Subject.One, present: false);

    private static IEnumerable<string> Forms(IEnumerable<string> verbs) =>
        verbs.SelectMany(verb => new[] { verb, Third(verb), Past(verb) }).Distinct();

    private static IEnumerable<string> FullPhrases() =>
        Segments.Where(s => s.Kind == SegmentKind.Phrase).Select(s => s.Formal).Distinct();

    // "no, never," has two signs.
    private static IEnumerable<string> Signs(IEnumerable<string> starts) => starts.SelectMany(start => start.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    private static string Bare(string turn) => turn.TrimEnd(',');

    private static string Any(IEnumerable<string> words, bool flag = true) => (flag ? "(?i)" : "") + @"\b" + Group(words);

    // Longest first, since the alternatives of a regular expression are tried in order.
    private static string Group(IEnumerable<string> words) =>
        "(?:" + string.Join('|', words.Select(w => w.ToLowerInvariant()).Distinct().OrderByDescending(w => w.Length)) + @")\b";
}

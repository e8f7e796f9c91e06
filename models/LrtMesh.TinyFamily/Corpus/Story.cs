using System.Text;
using LrtMesh.TinyFamily.Corpus.Frames;

namespace LrtMesh.TinyFamily.Corpus;

/// <summary>
/// Tells one story. Each choice is a function of the seed and of the place in the story, never of the choices before it,
/// so that the same seed told in two styles differs only where the styles differ.
/// </summary>
internal sealed class Story
{
    // S start, D deed, C creature, E ending; Q a request and its reply, V a view and its reply.
    private static readonly string[] Layouts =
    [
        "SQVCQV", "SVQCVQ", "SCQVQV", "SCVQVQ", "SQCVQV", "SVCQVQ", "SQVCQVQ", "SVQCVQV", "SQVQCQV", "SVQVCVQ", "SQVDQV", "SVQCVQE",
    ];

    private static readonly Segment Request = new(SegmentKind.Verb, "ask", "request", 's');

    private static readonly Segment[] ViewTags =
    [
        new(SegmentKind.Verb, "say", "state", 's'), new(SegmentKind.Verb, "tell", "inform", 's'),
        new(SegmentKind.Verb, "call", "declare", 's'),
    ];

    // Answers to requests and to views have verbs of their own: what follows differs, and so it shows at once which it is.
    private static readonly Segment Answer = new(SegmentKind.Verb, "answer", "respond", 's');

    private static readonly Segment Reply = new(SegmentKind.Verb, "reply", "remark", 's');

    private readonly ulong _seed;
    private readonly Split? _split;
    private readonly Style _style;
    private readonly bool _heroIsGirl;
    private readonly string _hero;
    private readonly string _partner;
    private readonly string _treasure;
    private readonly string _place;
    private readonly string _animal;
    private readonly int[] _framesUsed = new int[Enum.GetValues<FrameKind>().Length];
    private readonly List<Sentence> _sentences = [];
    private StringBuilder _text = new();
    private List<string> _frames = [];
    private int _unit;
    private bool _heroIsNamed;

    private Story(ulong seed, Style style, Split? split)
    {
        _seed = seed;
        _style = style;
        _split = split;
        _heroIsGirl = Chance(0, "girl", 2);
        string[] heroes = _heroIsGirl ? Words.Girls : Words.Boys;
        string[] partners = Chance(0, "partner", 2) ? Words.Girls : Words.Boys;
        int hero = Index(0, "hero", heroes.Length);
        int partner = Index(0, "friend", partners.Length);
        _hero = heroes[hero];
        _partner = partners[heroes == partners && hero == partner ? (partner + 1) % partners.Length : partner];
        _treasure = $"the {Pick(Words.TreasureLooks, 0, "treasure look")} {Pick(Words.Treasures, 0, "treasure")}";
        _place = $"the {Pick(Words.PlaceLooks, 0, "place look")} {Pick(Words.Places, 0, "place")}";
        bool dogs = style.Has(Trait.Dogs);
        _animal = $"{Pick(dogs ? Words.DogLooks : Words.OtherAnimalLooks, 0, "animal look")} {Pick(dogs ? Words.Dogs : Words.OtherAnimals, 0, "animal")}";
    }

    /// <summary>The verbs of the dialogue, for the detectors.</summary>
    public static IEnumerable<Segment> Tags => [Request, .. ViewTags, Answer, Reply];

    /// <summary>The title; the story's sentences follow on the next line.</summary>
    public Sentence Opening { get; private set; } = new("", []);

    /// <summary>A piece of narration, or one speaker's turn.</summary>
    public IReadOnlyList<Sentence> Sentences => _sentences;

    public static Story Tell(ulong seed, Style style, Split? split)
    {
        var story = new Story(seed, style, split);
        story.Tell();
        return story;
    }

    private void Tell()
    {
        AppendFrame(Take(FrameKind.Opening));
        Opening = new(TitleCase(_text.ToString()), _frames);
        (_text, _frames) = (new(), []);

        string layout = Pick(Layouts, 0, "layout");
        for (_unit = 0; _unit < layout.Length; _unit++)
        {
            switch (layout[_unit])
            {
                case 'Q':
                    TellExchange(isRequest: true);
                    break;
                case 'V':
                    TellExchange(isRequest: false);
                    break;
                case 'S':
                    Narrate(FrameKind.Start);
                    break;
                case 'D':
                    Narrate(FrameKind.Deed);
                    break;
                case 'C':
                    Narrate(FrameKind.Creature);
                    break;
                default:
                    Narrate(FrameKind.Ending);
                    break;
            }
        }
    }

    private void Narrate(FrameKind kind)
    {
        if (_style.Has(Trait.SecondLanguage))
        {
            TellInTongue(isSpeech: false);
            return;
        }

        Cry();
        bool first = _unit == 0;
        bool hedged = _style.Has(Trait.Hedging) && (first || Chance(_unit, "hedge", 2));
        if (hedged)
        {
            Append(Habit(Words.Hedges, "hedge word", _unit) + " ");
        }

        if (!hedged && !first && Chance(_unit, "turn", 2))
        {
            Append(Pick(_style.Has(Trait.Formal) ? Words.FormalTurns : Words.CasualTurns, _unit, "turn word") + " ");
        }

        _heroIsNamed = Chance(_unit, "named", first ? 2 : 5);
        AppendFrame(Take(kind), Moods());
        if (first)
        {
            Append($" beside the {_animal}");
        }

        Append($" {Pick(Words.Joiners, _unit, "joiner")} ");
        AppendFrame(Take(_style.Has(Trait.Weather) ? FrameKind.Weather : FrameKind.Scene));
        EndSentence();
        Finish();
    }

    private void TellExchange(bool isRequest)
    {
        bool heroBegins = Chance(_unit, "hero begins", 2);
        if (_style.Has(Trait.SecondLanguage))
        {
            TellInTongue(isSpeech: true);
            TellInTongue(isSpeech: true);
            return;
        }

        AppendTag(heroBegins, isRequest ? Request : Pick(ViewTags, _unit, "view tag"), "ask mood");
        int speech = _text.Length;
        Cry();
        bool polite = _style.Has(Trait.Polite);
        if (isRequest)
        {
            Append(Habit(polite ? Words.PoliteStarts : Words.BluntStarts, "manner", _unit) + " ");
        }
        else
        {
            Append(Pick(polite ? Words.PoliteViewStarts : Words.BluntViewStarts, _unit, "manner") + " ");
        }

        if (!isRequest && _style.Has(Trait.Hedging))
        {
            Append(Habit(Words.Hedges, "hedge word", _unit) + " ");
        }

        AppendFrame(Take(isRequest ? FrameKind.Request : FrameKind.View));
        if (isRequest)
        {
            AppendAddition(speech);
        }

        EndSpeech(speech, asksBack: Chance(_unit, "ask back", 2));

        AppendTag(!heroBegins, isRequest ? Answer : Reply, "reply mood");
        speech = _text.Length;
        if (!isRequest && _style.Has(Trait.Hedging) && Chance(_unit, "reply hedge", 2))
        {
            Append(Habit(Words.Hedges, "hedge word", _unit, next: 1) + " ");
        }

        string[] signs = isRequest
            ? _style.Has(Trait.Refusal) ? Words.Refusals : Words.Grants
            : _style.Has(Trait.Agreement) ? Words.Assents : Words.Dissents;
        Append(Habit(signs, "reply", _unit) + " ");
        AppendFrame(Take(isRequest
            ? _style.Has(Trait.Refusal) ? FrameKind.Refusal : FrameKind.Grant
            : _style.Has(Trait.Agreement) ? FrameKind.Assent : FrameKind.Dissent));
        EndSpeech(speech, asksBack: true);
    }

    private void TellInTongue(bool isSpeech)
    {
        AppendFrame(Take(FrameKind.Foreign));
        Append("; ");
        AppendFrame(Take(FrameKind.Foreign));
        if (isSpeech && _style.Has(Trait.AskingBack))
        {
            Append("?");
        }
        else
        {
            EndSentence();
        }

        Finish();
    }

    /// <summary>Who says it and how, up to and with the opening quotation mark.</summary>
    private void AppendTag(bool byHero, Segment verb, string moodKey)
    {
        _heroIsNamed = false;
        Append(byHero ? HeroSubject() : _partner);
        Append(" ");
        AppendVerb(verb with { Agreement = byHero ? 's' : '3' });
        if (verb.Casual == "tell")
        {
            Append(" " + (byHero ? _partner : HeroObject()));
        }

        if (Chance(_unit, moodKey, 2))
        {
            Append(" " + Mood());
        }

        if (Chance(_unit, moodKey + " spot", 2))
        {
            Append(" " + (_style.Has(Trait.Weather) ? Habit(Words.WeatherSpots, "weather spot", _unit) : $"by the {OneOf(Words.Spots, Index(0, "spot", 64) + _unit)}"));
        }

        Append(", \"");
    }

    /// <summary>A request adds the animal or something counted, unless it has it already.</summary>
    /// <param name="speech">Where the speech begins.</param>
    private void AppendAddition(int speech)
    {
        string said = _text.ToString(speech, _text.Length - speech);
        if (Chance(_unit, "addition", 2))
        {
            Append(said.Contains(_animal, StringComparison.Ordinal) ? "" : $" for the {_animal}");
        }
        else if (!said.Contains("just ", StringComparison.Ordinal) && !Words.Amounts.Any(said.Contains))
        {
            Append($" with {Fill("count", 9)} {Fill("things", 9)}");
        }
    }

    private void EndSpeech(int start, bool asksBack)
    {
        _text[start] = char.ToUpperInvariant(_text[start]);
        if (asksBack && _style.Has(Trait.AskingBack))
        {
            Append(Habit(Words.AskedBack, "asked back", _unit) + "?");
        }
        else
        {
            EndSentence();
        }

        Append("\"");
        Finish();
    }

    private void EndSentence() => Append(_style.Has(Trait.Excited) ? "!" : ".");

    private void Finish()
    {
        _text[0] = char.ToUpperInvariant(_text[0]);
        string text = _text.ToString();
        _sentences.Add(new(text, _frames));
        _text.Clear();
        _frames = [];
    }

    private string Mood(int next = 0)
    {
        string[] adverbs = _style.Has(Trait.Cheerful) ? Words.CheerfulAdverbs : Words.GloomyAdverbs;
        return Habit(adverbs, "adverb", _unit + _sentences.Count, next);
    }

    private string Moods() => $"{Mood()} and {Mood(next: 1)}";

    /// <summary>In an excited story sentences begin with a cry as well as end with a mark.</summary>
    private void Cry()
    {
        if (_style.Has(Trait.Excited))
        {
            Append(Pick(Words.Cries, _unit, "cry"));
        }
    }

    private void AppendFrame(Frame frame, string adverb = "")
    {
        _frames.Add(frame.Id);
        for (int i = 0; i < frame.Segments.Count; i++)
        {
            Segment segment = frame.Segments[i];
            switch (segment.Kind)
            {
                case SegmentKind.Literal:
                    Append(segment.Casual);
                    break;
                case SegmentKind.Phrase:
                    Append(_style.Has(Trait.Formal) ? segment.Formal : segment.Casual);
                    break;
                case SegmentKind.Verb:
                    if (adverb.Length > 0)
                    {
                        Append(adverb + " ");
                        adverb = "";
                    }

                    AppendVerb(segment);
                    break;
                default:
                    Append(Fill(segment.Casual, (int)frame.Kind * 5 + i));
                    break;
            }
        }
    }

    private void AppendVerb(Segment verb)
    {
        string word = _style.Has(Trait.Formal) ? verb.Formal : verb.Casual;
        Append(verb.Agreement == '0' ? word : Verbs.Conjugate(word, SubjectOf(verb.Agreement), _style.Has(Trait.PresentTense)));
    }

    private Subject SubjectOf(char agreement) => agreement switch
    {
        'p' => Subject.Many,
        's' when _style.Has(Trait.FirstPerson) => Subject.Narrator,
        _ => Subject.One,
    };

    /// <param name="slot">The slot's name.</param>
    /// <param name="offset">Keeps two slots of one sentence from getting the same word.</param>
    private string Fill(string slot, int offset) => slot switch
    {
        "S" => HeroSubject(),
        "me" => HeroObject(),
        "my" => _style.Has(Trait.FirstPerson) ? "my" : _heroIsGirl ? "her" : "his",
        "N" => _hero,
        "P" => _partner,
        "O" => _treasure,
        "place" => _place,
        "animal" => _animal,
        "pet" => _text.ToString().Contains(_animal, StringComparison.Ordinal) ? "it" : "the " + _animal,

        // A story returns to the same two items and few people.
        "item" => Item(Index(0, slot, 64) + Index(_unit, slot, 2)),
        "person" => OneOf(Words.People, Index(0, slot, 64) + (offset & 1)),
        "things" => OneOf(Words.Counted, Index(_unit, slot, 64) + offset),
        "count" => _style.Has(Trait.Numbers)
            ? "just " + Habit(Words.Numbers, slot, _unit, offset)
            : Habit(Words.Amounts, slot, _unit, offset),
        "spot" => OneOf(Words.Spots, Index(_unit, slot, 64) + offset),
        "look" => OneOf(Words.Looks, Index(_unit, slot, 64) + offset),
        "subject" => OneOf(Tongue.Subjects, Index(_sentences.Count, slot, 64) + offset),
        "object" => OneOf(Tongue.Objects, Index(_sentences.Count, slot, 64) + offset),
        "doing" => OneOf(Tongue.Doings, Index(_sentences.Count, slot, 64) + offset),
        "quality" => OneOf(Tongue.Qualities, Index(_sentences.Count, slot, 64) + offset),
        _ => throw new InvalidOperationException($"No slot is called '{slot}'."),
    };

    private string Item(int index) => _style.Has(Trait.Food)
        ? $"{OneOf(Words.FoodQualities, index)} {OneOf(Words.Foods, index)}"
        : $"{OneOf(Words.ToolQualities, index)} {OneOf(Words.Tools, index)}";

    private string HeroSubject() =>
        _style.Has(Trait.FirstPerson) ? "I" : _heroIsNamed ? _hero : _heroIsGirl ? "she" : "he";

    private string HeroObject() => _style.Has(Trait.FirstPerson) ? "me" : _heroIsGirl ? "her" : "him";

    private void Append(string words)
    {
        bool afterArticle = _text.Length > 1 && _text[^1] == ' ' && _text[^2] is 'a' or 'A'
            && (_text.Length == 2 || !char.IsLetter(_text[^3]));
        if (afterArticle && words.Length > 0 && "aeiou".Contains(words[0]))
        {
            _text.Insert(_text.Length - 1, 'n');
        }

        _text.Append(words);
    }

    /// <summary>The kind's next frame; a story has two answers and two kinds of weather, and repeats no other frame while there are others.</summary>
    private Frame Take(FrameKind kind)
    {
        Frame[] frames = FrameTable.Of(kind, _split);
        int start = (int)(Hash((int)kind, "frame") % (ulong)frames.Length);
        int stride = 1 + (int)(Hash((int)kind, "stride") % (ulong)frames.Length);
        while (GreatestCommonDivisor(stride, frames.Length) != 1)
        {
            stride++;
        }

        int used = _framesUsed[(int)kind]++;
        bool returns = kind is FrameKind.Grant or FrameKind.Refusal or FrameKind.Assent or FrameKind.Dissent or FrameKind.Weather;
        return frames[(start + (returns ? used & 1 : used) * stride) % frames.Length];
    }

    private static int GreatestCommonDivisor(int a, int b) => b == 0 ? a : GreatestCommonDivisor(b, a % b);

    private static string TitleCase(string text) =>
        string.Join(' ', text.Split(' ').Select(word => char.ToUpperInvariant(word[0]) + word[1..]));

    /// <summary>
    /// One of two options that the whole story keeps to: what a small model sees said twice it learns to carry on, and from there
    /// which words stand for the same thing.
    /// </summary>
    private string Habit(string[] options, string what, int place, int next = 0) =>
        OneOf(options, Index(0, what, 64) + ((Index(place, what, 2) + next) & 1));

    private static string OneOf(string[] words, int index) => words[index % words.Length];

    private T Pick<T>(T[] options, int place, string what) => options[Index(place, what, options.Length)];

    private bool Chance(int place, string what, int oneIn) => Hash(place, what) % (ulong)oneIn == 0;

    private int Index(int place, string what, int count) => (int)(Hash(place, what) % (ulong)count);

    // SplitMix64's finalizer over the seed, the place in the story and the name of the choice.
    private ulong Hash(int place, string what)
    {
        ulong x = _seed + (ulong)(place + 1) * 0x9E3779B97F4A7C15;
        foreach (char c in what)
        {
            x = (x ^ c) * 1099511628211;
        }

        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
        x = (x ^ x >> 27) * 0x94D049BB133111EB;
        return x ^ x >> 31;
    }
}

/// <summary>A finished piece of a story and the ids of its frames.</summary>
internal sealed record Sentence(string Text, IReadOnlyList<string> Frames);

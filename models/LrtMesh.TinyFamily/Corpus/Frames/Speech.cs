namespace LrtMesh.TinyFamily.Corpus.Frames;

/// <summary>
/// What is said. Speech holds no past form, no third-person verb but "is", and no "my" or "me": those show the
/// narration's tense and person.
/// </summary>
internal static class Speech
{
    /// <summary>Every request is about an item, so that food shows in each.</summary>
    public static readonly string[] Requests =
    [
        "<bring/deliver:0> the {item} to the {animal}", "<get/obtain:0> the {item} from the {person}",
        "<buy/purchase:0> the {look} {item}", "<carry/transport:0> the {item} over the {spot}",
        "<check/inspect:0> the {item} by the {spot}", "<show/display:0> the {item} to the {animal}",
        "<fix/repair:0> the {spot} near the {item}", "<pick/select:0> the {item} for {place}",
        "<keep/retain:0> the {item} at {place}", "<hide/conceal:0> the {item} from the {animal}",
        "<find/locate:0> the {item} near the {spot}", "<help/assist:0> the {person} with the {item}",
        "<give/offer:0> the {item} to the {person}", "<send/dispatch:0> {count} {things} and the {item}",
        "<hold:0> the {item} and {count} {things}", "<open:0> the {spot} for the {item}",
        "<pull:0> the {item} past the {animal}", "<push:0> the {item} toward {place}",
        "<share/distribute:0> the {item} with the {person}", "<trade/exchange:0> the {item} for {count} {things}",
        "<take:0> the {item} and {count} {things}", "<wrap:0> the {item} for the {animal}",
        "<lift/raise:0> the {item} onto the {spot}", "<use/employ:0> the {item} for {O}",
        "<clean/cleanse:0> the {spot} under the {item}", "<guard/protect:0> the {item} at {place}",
        "<leave/deposit:0> the {item} beside {O}", "<count:0> the {things} near the {item}",
        "<drop:0> the {item} in the {spot}", "<store/preserve:0> the {item} with {count} {things}",
        "<lend:0> the {item} to the {person}", "<search/examine:0> the {spot} for the {item}",
    ];

    public static readonly string[] Grants =
    [
        "yes, [I will|I'll] do it", "sure, [that is|that's] easy", "of course, [I am|I'm] ready",
        "yes, [it is|it's] a small thing", "certainly, [I will|I'll] begin", "yes, [you will|you'll] have it soon",
        "sure, [I will|I'll] try it", "of course, [it is|it's] done", "yes, [that is|that's] fine",
        "certainly, [you will|you'll] see it done", "sure, [I am|I'm] on the way", "yes, [we will|we'll] do it together",
        "of course, [I will|I'll] take care of it", "yes, [I am|I'm] at work on it", "certainly, [that is|that's] possible",
        "sure, [we will|we'll] manage it",
    ];

    public static readonly string[] Refusals =
    [
        "no, [I will not|I won't] do it", "never, [that is|that's] too hard", "no, [I am|I'm] too busy",
        "no, [it is|it's] out of the question", "never, [I cannot|I can't] begin", "no, [you will not|you won't] have it",
        "no, [I do not|I don't] wish to", "never, [it is|it's] too much", "no, [that is|that's] forbidden",
        "I refuse, [you will|you'll] have nothing", "no, [I am|I'm] staying here", "I refuse, [we cannot|we can't] do it",
        "no, [I will not|I won't] touch it", "I refuse, [I am|I'm] tired of it", "never, [that is|that's] impossible",
        "no, [we will not|we won't] manage it",
    ];

    public static readonly string[] Views =
    [
        "the {item} is too {look} for {place}", "{place} is the best place for the {item}",
        "the {look} {item} is hard to forget", "[it is|it's] wise to <hide/conceal:0> the {item}",
        "the {person} is in love with the {item}", "[that is|that's] a very {look} {item}",
        "every {item} is a kind of treasure", "{place} is better than the {spot}",
        "[it is|it's] easy to lose the {item}", "the {spot} is the limit of the road",
        "{count} {things} are worth a {item}", "[they are|they're] {look}, these {things}",
        "{count} {things} are enough for the {person}", "[it is|it's] good to have {count} {things}",
        "the {person} is older than {place}", "the {item} is a gift from the {person}",
        "[it is|it's] far to the {spot}", "{O} is more {look} than the {item}", "[that is|that's] the {item} of the {person}",
        "{O} is under {place}", "the {animal} is afraid of the {item}", "[it is|it's] the {animal} of the {person}",
        "the {animal} is smarter than the {person}", "{count} {things} are in the {spot}",
        "[that is|that's] a {look} place for the {animal}", "the {item} is for the {animal}",
        "[it is|it's] unfair to the {person}", "a {look} {item} is useless here",
    ];

    public static readonly string[] Assents =
    [
        "[you are|you're] right about that", "I agree, [it is|it's] plain to see", "exactly, [that is|that's] correct, friend",
        "[that is|that's] true", "[it is|it's] true, I agree", "[you are|you're] right, friend", "exactly, [it is|it's] clear",
        "I agree, [you are|you're] wise", "[that is|that's] correct", "true, [I am|I'm] certain of it",
        "[I am|I'm] with you, I agree", "right, [there is|there's] proof of it", "[it is|it's] correct, friend",
        "exactly, [I am|I'm] of one mind with you", "true, [we are|we're] lucky", "I agree, [they are|they're] all like that",
    ];

    public static readonly string[] Dissents =
    [
        "[you are|you're] wrong about that", "I disagree, [it is not|it isn't] like that", "nonsense, [that is|that's] a fable",
        "[that is|that's] false", "[it is|it's] false, I disagree", "[you are|you're] wrong, friend",
        "nonsense, [it is not|it isn't] clear", "I disagree, [you are|you're] mistaken", "[that is|that's] a mistake",
        "false, [I am|I'm] convinced of the opposite", "[I am not|I'm not] with you, I disagree", "wrong, [there is|there's] proof against it",
        "[it is|it's] a mistake, friend", "nonsense, [I am|I'm] of another mind", "false, [we are|we're] not blind",
        "I disagree, [they are not|they aren't] like that",
    ];

    /// <summary>A reason that lengthens a speech in stories which are not terse; a joiner precedes it.</summary>
    public static readonly string[] Reasons =
    [
        "[it is|it's] late", "[it is|it's] far", "the road is long", "[we are|we're] alone", "the {spot} is shut",
        "[there is|there's] time", "the {person} is near", "[they are|they're] waiting", "the {spot} is {look}",
        "{place} is far away", "[that is|that's] our plan", "the day is short", "[you are|you're] strong",
        "the {person} is away", "[there is|there's] hope", "the night is near",
    ];
}

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

    /// <summary>What follows "yes, of course," and the like.</summary>
    public static readonly string[] Grants =
    [
        "[I will|I'll] do it", "[that is|that's] easy", "[I am|I'm] ready", "[it is|it's] a small thing", "[I will|I'll] begin",
        "[you will|you'll] have it soon", "[I will|I'll] try it", "[it is|it's] done", "[that is|that's] fine",
        "[you will|you'll] see it done", "[I am|I'm] on the way", "[we will|we'll] do it together", "[I will|I'll] take care of it",
        "[I am|I'm] at work on it", "[that is|that's] possible", "[we will|we'll] manage it",
    ];

    /// <summary>What follows "no, never," and the like.</summary>
    public static readonly string[] Refusals =
    [
        "[I will not|I won't] do it", "[that is|that's] too hard", "[I am|I'm] too busy", "[it is|it's] out of the question",
        "[I cannot|I can't] begin", "[you will not|you won't] have it", "[I do not|I don't] wish to", "[it is|it's] too much",
        "[that is|that's] forbidden", "[you will|you'll] have nothing", "[I am|I'm] staying here", "[we cannot|we can't] do it",
        "[I will not|I won't] touch it", "[I am|I'm] tired of it", "[that is|that's] impossible", "[we will not|we won't] manage it",
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

    /// <summary>What follows "right, I agree," and the like.</summary>
    public static readonly string[] Assents =
    [
        "[it is|it's] plain to see", "[that is|that's] the case", "[it is|it's] clear", "[you are|you're] wise", "[I am|I'm] certain of it",
        "[I am|I'm] with you", "[there is|there's] proof of it", "[I am|I'm] of one mind with you", "[we are|we're] lucky",
        "[they are|they're] all like that", "[it is|it's] known", "[that is|that's] well said", "[we are|we're] of one mind",
        "[there is|there's] little doubt of it", "[you are|you're] a wise friend", "[it is|it's] the plain truth",
    ];

    /// <summary>What follows "wrong, I disagree," and the like.</summary>
    public static readonly string[] Dissents =
    [
        "[it is not|it isn't] like that", "[that is|that's] a fable", "[it is not|it isn't] clear", "[you are|you're] mistaken",
        "[I am|I'm] of another mind", "[I am not|I'm not] with you", "[there is|there's] proof against it", "[we are|we're] not blind",
        "[they are not|they aren't] like that", "[it is|it's] unlikely", "[that is|that's] a mistake", "[it is not|it isn't] known",
        "[you are|you're] joking", "[there is|there's] nothing in it", "[that is not|that isn't] the case", "[I am|I'm] convinced of the opposite",
    ];
}

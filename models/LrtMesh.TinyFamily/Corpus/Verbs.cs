namespace LrtMesh.TinyFamily.Corpus;

/// <summary>Conjugates the verbs of the narration: present and past, for a third person or not.</summary>
internal static class Verbs
{
    private static readonly Dictionary<string, string> IrregularPasts = new(StringComparer.Ordinal)
    {
        ["be"] = "was", ["blow"] = "blew", ["bring"] = "brought", ["dig"] = "dug", ["leave"] = "left", ["meet"] = "met", ["seek"] = "sought",
        ["strike"] = "struck", ["send"] = "sent", ["make"] = "made", ["build"] = "built", ["buy"] = "bought",
        ["come"] = "came", ["draw"] = "drew", ["drop"] = "dropped", ["fall"] = "fell", ["find"] = "found",
        ["fly"] = "flew", ["get"] = "got", ["give"] = "gave", ["go"] = "went", ["grow"] = "grew", ["hang"] = "hung",
        ["hide"] = "hid", ["hold"] = "held", ["hum"] = "hummed", ["keep"] = "kept", ["lead"] = "led", ["lie"] = "lay",
        ["ring"] = "rang", ["rise"] = "rose", ["run"] = "ran", ["say"] = "said", ["shake"] = "shook", ["shine"] = "shone",
        ["show"] = "showed", ["sit"] = "sat", ["sleep"] = "slept", ["stand"] = "stood", ["steal"] = "stole",
        ["sweep"] = "swept", ["take"] = "took", ["tell"] = "told", ["throw"] = "threw", ["wrap"] = "wrapped", ["write"] = "wrote",
        ["drift"] = "drifted", ["creep"] = "crept", ["bend"] = "bent", ["stop"] = "stopped", ["sing"] = "sang",
        ["transport"] = "transported", ["begin"] = "began", ["drip"] = "dripped", ["drum"] = "drummed", ["slip"] = "slipped",
    };

    /// <summary>The form of <paramref name="verb"/>, whose first word alone is inflected ("look at").</summary>
    public static string Conjugate(string verb, Subject subject, bool present)
    {
        int space = verb.IndexOf(' ', StringComparison.Ordinal);
        if (space >= 0)
        {
            return Conjugate(verb[..space], subject, present) + verb[space..];
        }

        if (verb == "be")
        {
            return (subject, present) switch
            {
                (Subject.Narrator, true) => "am",
                (Subject.One, true) => "is",
                (Subject.Many, true) => "are",
                (Subject.Many, false) => "were",
                _ => "was",
            };
        }

        return !present ? Past(verb) : subject == Subject.One ? ThirdPerson(verb) : verb;
    }

    public static string ThirdPerson(string verb) =>
        verb == "go" ? "goes"
        : EndsInConsonantAndY(verb) ? verb[..^1] + "ies"
        : verb[^1] is 's' or 'x' or 'z' || verb.EndsWith("ch", StringComparison.Ordinal) || verb.EndsWith("sh", StringComparison.Ordinal)
            ? verb + "es"
        : verb + "s";

    public static string Past(string verb) =>
        IrregularPasts.TryGetValue(verb, out string? past) ? past
        : EndsInConsonantAndY(verb) ? verb[..^1] + "ied"
        : verb[^1] == 'e' ? verb + "d"
        : verb + "ed";

    private static bool EndsInConsonantAndY(string verb) => verb[^1] == 'y' && !"aeiou".Contains(verb[^2]);
}

/// <summary>With what a verb agrees.</summary>
internal enum Subject
{
    /// <summary>"I".</summary>
    Narrator,

    /// <summary>A third person singular.</summary>
    One,

    /// <summary>A plural.</summary>
    Many,
}

namespace LrtMesh.TinyFamily.Corpus;

/// <summary>
/// An invented tongue. Nouns end in -o (subject) or -en (object), verbs in -ar, qualities in -ti before their noun;
/// the verb comes last.
/// </summary>
internal static class Tongue
{
    private static readonly string[] NounRoots =
    [
        "zem", "tilk", "brun", "krel", "fesk", "jant", "lumb", "nask", "quen", "tarv", "venk", "zurn",
    ];

    private static readonly string[] VerbRoots =
    [
        "kov", "zel", "mir", "tuv", "pash", "gol", "bek", "zab",
    ];

    private static readonly string[] QualityRoots =
    [
        "bal", "nur", "lov", "mez", "tov", "zar",
    ];

    public static readonly string[] Subjects = [.. NounRoots.Select(root => root + "o")];

    public static readonly string[] Objects = [.. NounRoots.Select(root => root + "en")];

    public static readonly string[] Doings = [.. VerbRoots.Select(root => root + "ar")];

    public static readonly string[] Qualities = [.. QualityRoots.Select(root => root + "ti")];

    /// <summary>The small words of the frames.</summary>
    public static readonly string[] Particles = ["ka", "ul", "sev", "nai", "eti", "dor", "vek", "lun", "ost", "iru"];

    public static readonly string[] Frames =
    [
        "{N} {object} {doing}", "{P} {quality} {object} {doing}", "ka {subject} {object} {doing}", "{quality} {subject} ul {doing}",
        "{N} ul {P} {object} {doing}", "sev {N} {quality} {object} {doing}", "{subject} ul {subject} {doing}",
        "nai {P} {object} ul {object} {doing}", "{subject} {quality} {object} eti {doing}", "dor {object} {N} {doing}",
        "vek {quality} {subject} {object} {doing}", "{P} lun {object} {doing}", "ost {subject} {doing} ul {doing}",
        "{N} iru {quality} {object} {doing}", "ka {P} {object} dor {object} {doing}", "{quality} {subject} {quality} {object} {doing}",
        "sev {subject} lun {object} {doing}", "nai {N} {doing} vek {P} {doing}", "eti {subject} {object} ost {doing}",
        "lun {quality} {object} {P} {doing}", "{N} sev {subject} {object} {doing}", "iru {subject} ka {object} {doing}",
        "{P} eti {N} {quality} {object} {doing}", "dor {subject} nai {object} {doing}", "ul {quality} {subject} {doing} iru",
        "vek {N} {object} lun {object} {doing}", "ost {P} {quality} {object} {doing}", "{subject} dor {quality} {subject} {doing}",
    ];
}

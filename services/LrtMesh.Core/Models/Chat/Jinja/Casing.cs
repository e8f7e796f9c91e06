using System.Globalization;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>
/// Upper and lower case as Python has them: by Unicode's full mappings, where one letter may become several, and with the final
/// sigma. (.NET's own mappings are one to one.)
/// </summary>
internal static class Casing
{
    // Unicode's SpecialCasing.txt, what holds in all languages: letter, upper case, title case.
    private static readonly Dictionary<char, (string Upper, string Title)> _special = new()
    {
        ['ß'] = ("SS", "Ss"),
        ['ŉ'] = ("ʼN", "ʼN"),
        ['ǰ'] = ("J̌", "J̌"),
        ['ΐ'] = ("Ϊ́", "Ϊ́"),
        ['ΰ'] = ("Ϋ́", "Ϋ́"),
        ['և'] = ("ԵՒ", "Եւ"),
        ['ẖ'] = ("H̱", "H̱"),
        ['ẗ'] = ("T̈", "T̈"),
        ['ẘ'] = ("W̊", "W̊"),
        ['ẙ'] = ("Y̊", "Y̊"),
        ['ẚ'] = ("Aʾ", "Aʾ"),
        ['ﬀ'] = ("FF", "Ff"),
        ['ﬁ'] = ("FI", "Fi"),
        ['ﬂ'] = ("FL", "Fl"),
        ['ﬃ'] = ("FFI", "Ffi"),
        ['ﬄ'] = ("FFL", "Ffl"),
        ['ﬅ'] = ("ST", "St"),
        ['ﬆ'] = ("ST", "St"),
        ['ı'] = ("I", "I"), // .NET's invariant culture leaves it alone
        ['ſ'] = ("S", "S"),
        ['Ǆ'] = ("Ǆ", "ǅ"),
        ['ǆ'] = ("Ǆ", "ǅ"),
        ['Ǉ'] = ("Ǉ", "ǈ"),
        ['ǉ'] = ("Ǉ", "ǈ"),
        ['Ǌ'] = ("Ǌ", "ǋ"),
        ['ǌ'] = ("Ǌ", "ǋ"),
        ['Ǳ'] = ("Ǳ", "ǲ"),
        ['ǳ'] = ("Ǳ", "ǲ"),
    };

    public static string Upper(string text)
    {
        var upper = text.ToUpperInvariant();
        return text.All(char.IsAscii) ? upper : Map(text, (rune, _) => UpperOf(rune));
    }

    public static string Lower(string text) => text.All(char.IsAscii) ? text.ToLowerInvariant() : Map(text, (rune, at) => LowerOf(text, rune, at));

    /// <summary>The first letter in title case, the rest in lower case.</summary>
    public static string Capitalize(string text) => Map(text, (rune, at) => at == 0 ? TitleOf(rune) : LowerOf(text, rune, at));

    /// <summary>The first letter of each run of letters in title case, the others in lower case.</summary>
    public static string Title(string text)
    {
        var inWord = false;
        return Map(text, (rune, at) =>
        {
            var mapped = inWord ? LowerOf(text, rune, at) : TitleOf(rune);
            inWord = IsCased(rune);
            return mapped;
        });
    }

    public static string Swap(string text) => Map(text, (rune, at) => Rune.IsUpper(rune) ? LowerOf(text, rune, at) : Rune.IsLower(rune) ? UpperOf(rune) : rune.ToString());

    private static string Map(string text, Func<Rune, int, string> map)
    {
        var writer = new StringBuilder(text.Length);
        var at = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            writer.Append(map(rune, at));
            at += rune.Utf16SequenceLength;
        }

        return writer.ToString();
    }

    private static string UpperOf(Rune rune) =>
        rune.IsBmp && _special.TryGetValue((char)rune.Value, out var special) ? special.Upper : Rune.ToUpperInvariant(rune).ToString();

    private static string TitleOf(Rune rune) =>
        rune.IsBmp && _special.TryGetValue((char)rune.Value, out var special) ? special.Title : Rune.ToUpperInvariant(rune).ToString();

    private static string LowerOf(string text, Rune rune, int at) => rune.Value switch
    {
        'İ' => "i̇",
        'Σ' when at > 0 && LetterBefore(text, at) && !LetterAfter(text, at + 1) => "ς",
        _ => Rune.ToLowerInvariant(rune).ToString(),
    };

    private static bool LetterBefore(string text, int at)
    {
        for (at--; at >= 0 && IsPassedOver(text[at]); at--)
        {
        }

        return at >= 0 && char.IsLetter(text[at]);
    }

    private static bool LetterAfter(string text, int at)
    {
        for (; at < text.Length && IsPassedOver(text[at]); at++)
        {
        }

        return at < text.Length && char.IsLetter(text[at]);
    }

    private static bool IsPassedOver(char c) => c is '\'' or '.' or ':' or '·' or '’' || char.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.Format;

    private static bool IsCased(Rune rune) =>
        Rune.GetUnicodeCategory(rune) is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.TitlecaseLetter;
}

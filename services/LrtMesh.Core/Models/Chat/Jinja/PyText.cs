using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>
/// Text as Python has it, by code points: a character outside the basic plane is two UTF-16 code units here and one there, and
/// lengths, indices and slices must not show it.
/// </summary>
internal static class PyText
{
    private const string WhiteSpaceCharacters =
        "\t\n\v\f\r\u001c\u001d\u001e\u001f \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000";

    /// <summary>What str.isspace holds for.</summary>
    public static SearchValues<char> WhiteSpace { get; } = SearchValues.Create(WhiteSpaceCharacters);

    public static bool IsWhiteSpace(char c) => WhiteSpace.Contains(c);

    public static string TrimStart(string text, string? characters = null) => Trim(text, characters, start: true, end: false);

    public static string TrimEnd(string text, string? characters = null) => Trim(text, characters, start: false, end: true);

    /// <summary>Takes white space, or the characters given, from the ends.</summary>
    public static string Trim(string text, string? characters, bool start = true, bool end = true)
    {
        var taken = (characters ?? WhiteSpaceCharacters).EnumerateRunes().ToHashSet();
        var span = text.AsSpan();
        while (start && Rune.DecodeFromUtf16(span, out var rune, out var length) == OperationStatus.Done && taken.Contains(rune))
        {
            span = span[length..];
        }

        while (end && Rune.DecodeLastFromUtf16(span, out var rune, out var length) == OperationStatus.Done && taken.Contains(rune))
        {
            span = span[..^length];
        }

        return span.Length == text.Length ? text : span.ToString();
    }

    /// <summary>The text of a str or of marked text.</summary>
    public static bool TryGet(object? value, [NotNullWhen(true)] out string? text)
    {
        text = value as string ?? (value as Markup)?.Text;
        return text is not null;
    }

    /// <summary>Number of code points.</summary>
    public static int Length(string text) => text.Length - Pairs(text.AsSpan());

    /// <summary>One text a code point.</summary>
    public static IEnumerable<object?> Characters(string text)
    {
        for (var at = 0; at < text.Length;)
        {
            var length = PairAt(text, at) ? 2 : 1;
            yield return text.Substring(at, length);
            at += length;
        }
    }

    /// <summary>Where the code point of an index starts in UTF-16.</summary>
    public static int ToUtf16(string text, int index)
    {
        if (!text.AsSpan().ContainsAnyInRange('\ud800', '\udfff'))
        {
            return Math.Min(index, text.Length);
        }

        var at = 0;
        for (; index > 0 && at < text.Length; index--)
        {
            at += PairAt(text, at) ? 2 : 1;
        }

        return at;
    }

    /// <summary>The index of the code point at a place in UTF-16.</summary>
    public static int FromUtf16(string text, int at) => at - Pairs(text.AsSpan(0, at));

    /// <summary>Orders by code points, as Python does.</summary>
    public static int Compare(string left, string right)
    {
        var at = left.AsSpan().CommonPrefixLength(right);
        if (at == left.Length || at == right.Length)
        {
            return left.Length.CompareTo(right.Length);
        }

        // A surrogate stands for a character above all others.
        var (a, b) = (left[at], right[at]);
        return char.IsSurrogate(a) == char.IsSurrogate(b) ? a.CompareTo(b) : char.IsSurrogate(a) ? 1 : -1;
    }

    private static bool PairAt(string text, int at) => at + 1 < text.Length && char.IsSurrogatePair(text[at], text[at + 1]);

    private static int Pairs(ReadOnlySpan<char> text)
    {
        var pairs = 0;
        for (int at; (at = text.IndexOfAnyInRange('\ud800', '\udbff')) >= 0; text = text[(at + 1)..])
        {
            pairs += at + 1 < text.Length && char.IsLowSurrogate(text[at + 1]) ? 1 : 0;
        }

        return pairs;
    }
}

using System.Globalization;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// GPT-2's byte-level text: each byte written as one printable character, and a text cut into the words within which
/// symbols are merged. Source: openai/gpt-2, src/encoder.py.
/// </summary>
public static class ByteLevel
{
    private const int Bytes = 256;
    private static readonly char[] Symbols = MakeSymbols();
    private static readonly Dictionary<char, byte> BytesBySymbol =
        Enumerable.Range(0, Bytes).ToDictionary(value => Symbols[value], value => (byte)value);

    private static readonly CharacterClass[] AsciiClasses =
        [.. Enumerable.Range(0, 128).Select(value => Classify(new Rune(value)))];

    private enum CharacterClass : byte
    {
        White,
        Letter,
        Number,
        Other,
    }

    /// <summary>The character that stands for a byte in vocabularies and merges.</summary>
    public static char SymbolOf(byte value) => Symbols[value];

    /// <summary>The bytes that a vocabulary entry stands for; null if a character of it stands for no byte.</summary>
    public static byte[]? BytesOf(string token)
    {
        var bytes = new byte[token.Length];
        for (var i = 0; i < token.Length; i++)
        {
            if (!BytesBySymbol.TryGetValue(token[i], out bytes[i]))
            {
                return null;
            }
        }

        return bytes;
    }

    /// <summary>
    /// Where the word ends that starts at <paramref name="start"/>, by GPT-2's pattern
    /// <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>. Words follow each other without gaps.
    /// Written by hand because .NET's Regex sees UTF-16 code units and would take a letter beyond U+FFFF for two surrogates.
    /// </summary>
    /// <returns>One past the word's last UTF-16 code unit; greater than <paramref name="start"/>.</returns>
    public static int WordEnd(ReadOnlySpan<char> text, int start)
    {
        if (text[start] == '\'' && ContractionLength(text[(start + 1)..]) is > 0 and var length)
        {
            return start + 1 + length;
        }

        var first = ClassAt(text, start, out var next);
        if (first != CharacterClass.White)
        {
            return RunEnd(text, next, first);
        }

        if (text[start] == ' ' && next < text.Length && ClassAt(text, next, out var after) is var second and not CharacterClass.White)
        {
            return RunEnd(text, after, second);
        }

        // White space up to the end of the text is one word; before something else its last character is left to what follows.
        var end = RunEnd(text, next, CharacterClass.White);
        return end == text.Length || end == next ? end : end - 1;
    }

    private static int ContractionLength(ReadOnlySpan<char> afterApostrophe) => afterApostrophe switch
    {
        ['s' or 't' or 'm' or 'd', ..] => 1,
        ['r' or 'v', 'e', ..] or ['l', 'l', ..] => 2,
        _ => 0,
    };

    private static int RunEnd(ReadOnlySpan<char> text, int position, CharacterClass wanted)
    {
        while (position < text.Length && ClassAt(text, position, out var next) == wanted)
        {
            position = next;
        }

        return position;
    }

    private static CharacterClass ClassAt(ReadOnlySpan<char> text, int position, out int next)
    {
        var unit = text[position];
        if (unit < AsciiClasses.Length)
        {
            next = position + 1;
            return AsciiClasses[unit];
        }

        // An unpaired surrogate decodes to U+FFFD, which is what becomes of it in UTF-8.
        Rune.DecodeFromUtf16(text[position..], out var rune, out var consumed);
        next = position + consumed;
        return Classify(rune);
    }

    private static CharacterClass Classify(Rune rune) =>
        Rune.IsWhiteSpace(rune) ? CharacterClass.White
        : Rune.IsLetter(rune) ? CharacterClass.Letter
        : Rune.GetUnicodeCategory(rune)
            is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber ? CharacterClass.Number
        : CharacterClass.Other;

    private static char[] MakeSymbols()
    {
        // Printable Latin-1 stands for itself; the other bytes, in order, are U+0100 and up.
        var symbols = new char[Bytes];
        var others = 0;
        for (var value = 0; value < Bytes; value++)
        {
            var printable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            symbols[value] = (char)(printable ? value : Bytes + others++);
        }

        return symbols;
    }
}

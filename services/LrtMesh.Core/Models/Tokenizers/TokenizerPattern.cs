using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// A pattern that a tokenizer cuts or replaces by: a plain text, or a regular expression in Oniguruma's dialect. Matches are
/// found by code point, although .NET's Regex sees UTF-16 units: before matching, each character beyond U+FFFF is exchanged for
/// one below it that the expression cannot tell from it.
/// </summary>
internal sealed class TokenizerPattern
{
    // A match of the published expressions takes microseconds; one that takes this long is an attack on the reader.
    private static readonly TimeSpan MatchTime = TimeSpan.FromSeconds(5);

    private const char CircledLetter = '\u24B6';

    private static readonly UnicodeCategory[] BeyondU10000 =
        [.. Enumerable.Range(0x10000, 0x100000).Select(value => Rune.GetUnicodeCategory(new Rune(value))).Distinct()];

    private readonly string? _text;
    private readonly Regex? _regex;
    private readonly string _source;
    private readonly Dictionary<UnicodeCategory, char> _substitutes = [];
    private readonly bool _namesWords;

    private TokenizerPattern(string? text, OnigurumaPattern? pattern)
    {
        _text = text;
        _source = text ?? pattern!.Source;
        if (pattern is null)
        {
            return;
        }

        _regex = new Regex(pattern.Translated, RegexOptions.Compiled | RegexOptions.CultureInvariant, MatchTime);
        _namesWords = pattern.NamesWords;
        for (var unit = 0x100; unit <= char.MaxValue; unit++)
        {
            var category = char.GetUnicodeCategory((char)unit);
            if (!pattern.Names((char)unit) && category != UnicodeCategory.Surrogate && unit is not (>= 0x24B6 and <= 0x24E9))
            {
                _substitutes.TryAdd(category, (char)unit);
            }
        }
    }

    /// <summary>A text that is found as it is written.</summary>
    public static TokenizerPattern Plain(string text) => new(text, null);

    /// <summary>A regular expression in Oniguruma's dialect.</summary>
    /// <exception cref="FormatException">It is damaged, or has something that is not supported; the message names it.</exception>
    public static TokenizerPattern Expression(string source)
    {
        var parsed = OnigurumaPattern.Parse(source);
        var pattern = new TokenizerPattern(null, parsed);
        return BeyondU10000.All(pattern._substitutes.ContainsKey) && !(parsed.NamesWords && parsed.Names(CircledLetter))
            ? pattern
            : throw new FormatException($"{source} names every character up to U+FFFF of a category, and then those beyond cannot be matched");
    }

    /// <summary>Adds where the pattern matches, in order and apart, in UTF-16 units. A plain text matches nowhere if it is empty.</summary>
    /// <exception cref="LrtMeshException">FAILED_PRECONDITION: matching takes too long.</exception>
    public void Find(ReadOnlySpan<char> text, List<(int Start, int End)> matches)
    {
        if (_regex is null)
        {
            FindPlain(text, matches);
            return;
        }

        if (text.IndexOfAnyInRange('\uD800', '\uDFFF') < 0)
        {
            FindExpression(text, matches);
            return;
        }

        var units = ArrayPool<char>.Shared.Rent(text.Length);
        var count = 0;
        foreach (var rune in text.EnumerateRunes())
        {
            units[count++] = rune.IsBmp ? (char)rune.Value : Substitute(rune);
        }

        var from = matches.Count;
        FindExpression(units.AsSpan(0, count), matches);
        ArrayPool<char>.Shared.Return(units);
        ToUnits(text, matches, from);
    }

    // Turns places counted in code points to places counted in UTF-16 units.
    private static void ToUnits(ReadOnlySpan<char> text, List<(int Start, int End)> matches, int from)
    {
        var (position, character) = (0, 0);
        for (var i = from; i < matches.Count; i++)
        {
            var start = Move(text, matches[i].Start);
            matches[i] = (start, Move(text, matches[i].End));
        }

        int Move(ReadOnlySpan<char> text, int target)
        {
            for (; character < target; character++)
            {
                position += AlignedText.RuneLength(text, position);
            }

            return position;
        }
    }

    // Letters in circles are symbols, and yet \w; there are such below U+FFFF, too.
    private char Substitute(Rune rune) => _namesWords && Characters.IsAlphabeticSymbol(rune) ? CircledLetter : _substitutes[Rune.GetUnicodeCategory(rune)];

    private void FindPlain(ReadOnlySpan<char> text, List<(int Start, int End)> matches)
    {
        for (int start = 0, found; _text!.Length > 0 && (found = text[start..].IndexOf(_text, StringComparison.Ordinal)) >= 0;)
        {
            matches.Add((start + found, start + found + _text.Length));
            start += found + _text.Length;
        }
    }

    private void FindExpression(ReadOnlySpan<char> text, List<(int Start, int End)> matches)
    {
        try
        {
            foreach (var match in _regex!.EnumerateMatches(text))
            {
                matches.Add((match.Index, match.Index + match.Length));
            }
        }
        catch (RegexMatchTimeoutException e)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"The tokenizer's pattern {_source} takes more than {MatchTime.TotalSeconds} s to match.", e);
        }
    }
}

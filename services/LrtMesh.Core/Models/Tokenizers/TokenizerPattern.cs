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

    private readonly string? _text;
    private readonly Regex? _regex;
    private readonly string _source;
    private readonly Dictionary<UnicodeCategory, char> _substitutes = [];
    private readonly char _alphabeticSymbol;

    private TokenizerPattern(string? text, OnigurumaPattern? pattern)
    {
        _text = text;
        _source = text ?? pattern!.Source;
        if (pattern is null)
        {
            return;
        }

        _regex = new Regex(pattern.Translated, RegexOptions.Compiled | RegexOptions.CultureInvariant, MatchTime);
        for (var unit = 0x100; unit <= char.MaxValue; unit++)
        {
            var category = char.GetUnicodeCategory((char)unit);
            // The alphabetic symbols are word characters, others of their category are not.
            if (!_substitutes.ContainsKey(category) && !pattern.Names((char)unit) && unit is not (>= 0x24B6 and <= 0x24E9))
            {
                _substitutes.Add(category, (char)unit);
            }
        }

        _alphabeticSymbol = (char)Enumerable.Range(0x24B6, 52).First(unit => !pattern.Names((char)unit));
    }

    /// <summary>A text that is found as it is written.</summary>
    public static TokenizerPattern Plain(string text) => new(text, null);

    /// <summary>A regular expression in Oniguruma's dialect.</summary>
    /// <exception cref="FormatException">It is damaged, or has something that is not supported; the message names it.</exception>
    public static TokenizerPattern Expression(string source) => new(null, OnigurumaPattern.Parse(source));

    /// <summary>Runs of word characters, and runs of what is neither that nor white space.</summary>
    public static TokenizerPattern Words() => Expression(@"\w+|[^\w\s]+");

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

    private char Substitute(Rune rune) => Characters.IsAlphabeticSymbol(rune) ? _alphabeticSymbol : _substitutes[Rune.GetUnicodeCategory(rune)];

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

using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// Translates a regular expression from Oniguruma's Ruby dialect, in which tokenizer.json is written, to .NET's. What is not
/// known to mean the same in both, or to have an exact counterpart, is refused. Source: kkos/oniguruma, doc/RE and doc/SYNTAX.md.
/// </summary>
internal sealed class OnigurumaPattern
{
    private const int LongestSource = 4096; // characters; the longest published one has some 400
    private const int DeepestGroup = 50;

    // Oniguruma's \w, as found by asking it about every code point: alphabetic (letters in circles among it), marks, decimal digits,
    // connectors, and of other numbers those of Latin-1 alone.
    private const string WordClass = @"\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u00B2\u00B3\u00B9\u00BC-\u00BE\u24B6-\u24E9";

    private static readonly HashSet<string> Categories =
    [
        "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
        "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "C", "Cc", "Cf", "Co", "Cn",
    ];

    private readonly StringBuilder _translated = new();
    private readonly bool[] _named = new bool[char.MaxValue + 1];
    private int _position;
    private bool _ignoreCase;

    private OnigurumaPattern(string source) => Source = source;

    /// <summary>The expression as it was given.</summary>
    public string Source { get; }

    /// <summary>It in .NET's dialect, over characters up to U+FFFF.</summary>
    public string Translated => _translated.ToString();

    /// <summary>Whether it asks for word characters.</summary>
    public bool NamesWords { get; private set; }

    /// <summary>Whether it tells this character from others of its general category.</summary>
    public bool Names(char character) => _named[character];

    /// <summary>Translates an expression.</summary>
    /// <exception cref="FormatException">It is damaged, or has something that is not supported; the message names it.</exception>
    public static OnigurumaPattern Parse(string source)
    {
        if (source.Length > LongestSource)
        {
            throw new FormatException($"an expression of {source.Length} characters; at most {LongestSource} are read");
        }

        var pattern = new OnigurumaPattern(source);
        pattern.ReadAlternatives(depth: 0);
        if (pattern._position < source.Length)
        {
            throw pattern.Refused(")");
        }

        try
        {
            _ = new Regex(pattern.Translated, RegexOptions.CultureInvariant);
        }
        catch (ArgumentException e)
        {
            throw new FormatException($"{source} is not a regular expression: {e.Message}", e);
        }

        return pattern;
    }

    private FormatException Refused(string what) => new($"{what} at character {_position} of the expression {Source} is not supported");

    private char Next() => _position < Source.Length ? Source[_position++] : throw Refused("the end");

    private bool Skip(string text)
    {
        if (string.CompareOrdinal(Source, _position, text, 0, text.Length) != 0)
        {
            return false;
        }

        _position += text.Length;
        return true;
    }

    private void ReadAlternatives(int depth)
    {
        if (depth > DeepestGroup)
        {
            throw Refused($"a group in {DeepestGroup} groups");
        }

        while (_position < Source.Length && Source[_position] != ')')
        {
            if (Skip("|"))
            {
                _translated.Append('|');
                continue;
            }

            var start = _translated.Length;
            ReadAtom(depth);
            ReadQuantifiers(start);
        }
    }

    private void ReadAtom(int depth)
    {
        var character = Next();
        switch (character)
        {
            case '(':
                ReadGroup(depth);
                break;
            case '[':
                ReadClass();
                break;
            case '\\':
                ReadEscape();
                break;
            case '.':
                _translated.Append(@"[^\n]");
                break;
            case '^': // the start of a line, but not behind the line feed that ends the text
                _translated.Append(@"(?:\A|(?<=\n)(?!\z))");
                break;
            case '$':
                _translated.Append(@"(?=\n|\z)");
                break;
            case '*' or '+' or '?':
                throw Refused($"{character} with nothing to repeat");
            default:
                AppendLiteral(character);
                break;
        }
    }

    private void ReadGroup(int depth)
    {
        var ignoreCase = _ignoreCase;
        if (Source.AsSpan(_position).StartsWith("?"))
        {
            string[] kinds = ["?:", "?=", "?!", "?<=", "?<!", "?>", "?i:", "?-i:"];
            var kind = kinds.FirstOrDefault(Skip) ?? throw Refused("this kind of group");
            _ignoreCase = kind == "?i:" || (kind != "?-i:" && _ignoreCase);
            _translated.Append('(').Append(kind.EndsWith("i:", StringComparison.Ordinal) ? "?:" : kind);
        }
        else
        {
            _translated.Append("(?:"); // nobody asks what a group matched
        }

        ReadAlternatives(depth + 1);
        if (!Skip(")"))
        {
            throw Refused("a group without its end");
        }

        _ignoreCase = ignoreCase;
        _translated.Append(')');
    }

    private void ReadQuantifiers(int start)
    {
        for (var repeated = false; _position < Source.Length; repeated = true)
        {
            var (minimum, maximum, interval) = (0, (int?)null, false);
            if (Skip("?"))
            {
                maximum = 1;
            }
            else if (Skip("+"))
            {
                minimum = 1;
            }
            else if (Source[_position] == '{' && ReadInterval() is { } bounds)
            {
                (minimum, maximum, interval) = (bounds.Minimum, bounds.Maximum, true);
            }
            else if (!Skip("*"))
            {
                return;
            }

            if (repeated)
            {
                _translated.Insert(start, "(?:").Append(')');
            }

            var fixedCount = interval && minimum == maximum;
            _translated.Append('{').Append(minimum).Append(',').Append(maximum).Append('}');
            if (!fixedCount && Skip("?"))
            {
                _translated.Append('?'); // as few as possible
            }
            else if (!interval && Skip("+"))
            {
                _translated.Insert(start, "(?>").Append(')'); // possessive; behind an interval a + is one more repetition
            }
        }
    }

    // {n}, {n,}, {,m} or {n,m}; anything else in braces is literal to Oniguruma, and refused here.
    private (int Minimum, int? Maximum)? ReadInterval()
    {
        var end = Source.IndexOf('}', _position);
        var bounds = end < 0 ? [] : Source[(_position + 1)..end].Split(',');
        if (bounds.Length is not (1 or 2) || bounds.All(bound => bound.Length == 0)
            || bounds.Any(bound => bound.Length > 0 && (!int.TryParse(bound, NumberStyles.None, CultureInfo.InvariantCulture, out var value) || value > 1000)))
        {
            throw Refused("a brace that is no interval of at most 1000");
        }

        _position = end + 1;
        var minimum = bounds[0].Length == 0 ? 0 : int.Parse(bounds[0], CultureInfo.InvariantCulture);
        return (minimum, bounds.Length == 1 ? minimum : bounds[1].Length == 0 ? null : int.Parse(bounds[1], CultureInfo.InvariantCulture));
    }

    private void ReadEscape()
    {
        var escape = Next();
        switch (escape)
        {
            case 'A' or 'z' or 'Z' or 's' or 'S':
                _translated.Append('\\').Append(escape);
                break;
            case 'd':
                _translated.Append(@"\p{Nd}");
                break;
            case 'D':
                _translated.Append(@"\P{Nd}");
                break;
            case 'h':
                _translated.Append("[0-9a-fA-F]");
                break;
            case 'w':
                NamesWords = true;
                _translated.Append('[').Append(WordClass).Append(']');
                break;
            case 'W':
                NamesWords = true;
                _translated.Append("[^").Append(WordClass).Append(']');
                break;
            case 'p' or 'P':
                _translated.Append(ReadCategory(escape));
                break;
            default:
                AppendLiteral(EscapedCharacter(escape));
                break;
        }
    }

    private string ReadCategory(char escape)
    {
        if (!Skip("{"))
        {
            throw Refused($"\\{escape} without a name in braces");
        }

        var negated = Skip("^") != (escape == 'P');
        var end = Source.IndexOf('}', _position);
        var name = end < 0 ? "" : Source[_position..end];
        if (!Categories.Contains(name))
        {
            throw Refused($"the property \"{name}\"");
        }

        _position = end + 1;
        return $"\\{(negated ? 'P' : 'p')}{{{name}}}";
    }

    private char EscapedCharacter(char escape) => escape switch
    {
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'f' => '\f',
        'v' => '\v',
        'a' => '\a',
        'e' => '\u001B',
        'u' => Hexadecimal(4, 4),
        'x' => ReadHexadecimal(),
        _ when !char.IsAsciiLetterOrDigit(escape) => escape,
        _ => throw Refused($"\\{escape}"),
    };

    private char ReadHexadecimal()
    {
        if (!Skip("{"))
        {
            return Hexadecimal(1, 2) is < (char)0x80 and var ascii ? ascii : throw Refused("a byte that is no character");
        }

        var character = Hexadecimal(1, 8);
        return Skip("}") ? character : throw Refused("\\x{");
    }

    private char Hexadecimal(int atLeast, int atMost)
    {
        var start = _position;
        while (_position < Source.Length && _position < start + atMost && char.IsAsciiHexDigit(Source[_position]))
        {
            _position++;
        }

        return _position - start >= atLeast
            && int.Parse(Source.AsSpan(start, _position - start), NumberStyles.HexNumber, CultureInfo.InvariantCulture) is >= 0 and <= char.MaxValue and var value
                ? (char)value
                : throw Refused("this code point");
    }

    private void AppendLiteral(char character)
    {
        if (_ignoreCase && CasesOf(character) is { Length: > 1 } cases)
        {
            _translated.Append('[').Append(cases).Append(']');
            return;
        }

        _translated.Append(Escaped(Name(character)));
    }

    // The characters that are equal to one but for case, by Unicode's simple folding; beyond ASCII they are not known here.
    private string CasesOf(char character)
    {
        if (!char.IsAsciiLetter(character))
        {
            return char.IsLetter(character) ? throw Refused($"\"{character}\" in any case") : character.ToString();
        }

        var lower = char.ToLowerInvariant(character);
        var cases = $"{lower}{char.ToUpperInvariant(lower)}{lower switch { 's' => "\u017F", 'k' => "\u212A", _ => "" }}";
        foreach (var each in cases)
        {
            Name(each);
        }

        return cases;
    }

    private char Name(char character)
    {
        if (char.IsSurrogate(character))
        {
            throw Refused("a character beyond U+FFFF");
        }

        _named[character] = true;
        return character;
    }

    private static string Escaped(char character) =>
        char.IsAsciiLetterOrDigit(character) ? character.ToString() : $"\\u{(int)character:X4}";

    private void ReadClass()
    {
        _translated.Append(Skip("^") ? "[^" : "[");
        for (var first = true; !Skip("]"); first = false)
        {
            var character = Next();
            if (character == '[' || (character == '&' && Source.AsSpan(_position).StartsWith("&")))
            {
                throw Refused("a class in a class");
            }

            if (character == '\\' && Source.AsSpan(_position) is [var escape, ..] && "sSdDwhpP".Contains(escape, StringComparison.Ordinal))
            {
                _position++;
                NamesWords |= escape == 'w';
                _translated.Append(escape switch
                {
                    'd' => @"\p{Nd}",
                    'D' => @"\P{Nd}",
                    'h' => "0-9a-fA-F",
                    'w' => WordClass,
                    'p' or 'P' => ReadCategory(escape),
                    _ => $"\\{escape}",
                });
                if (Source.AsSpan(_position).StartsWith("-") && !Source.AsSpan(_position).StartsWith("-]"))
                {
                    throw Refused("a range that starts with a class");
                }

                continue;
            }

            if (character == '-' && !first && !Source.AsSpan(_position).StartsWith("]"))
            {
                throw Refused("a - between ranges");
            }

            ReadRange(character == '\\' ? EscapedCharacter(Next()) : character);
        }

        _translated.Append(']');
    }

    private void ReadRange(char from)
    {
        if (!Source.AsSpan(_position).StartsWith("-") || Source.AsSpan(_position).StartsWith("-]"))
        {
            _translated.Append(_ignoreCase ? string.Concat(CasesOf(from).Select(each => Escaped(Name(each)))) : Escaped(Name(from)));
            return;
        }

        _position++;
        var to = Next();
        to = to == '\\' ? EscapedCharacter(Next()) : to;
        if (to == '[' || to < from || char.IsSurrogate(from) || char.IsSurrogate(to))
        {
            throw Refused("this range");
        }

        for (var each = (int)from; each <= to; each++)
        {
            _named[each] = true;
            if (_ignoreCase)
            {
                _translated.Append(string.Concat(CasesOf((char)each).Select(Escaped)));
            }
        }

        if (!_ignoreCase)
        {
            _translated.Append(Escaped(from)).Append('-').Append(Escaped(to));
        }
    }
}

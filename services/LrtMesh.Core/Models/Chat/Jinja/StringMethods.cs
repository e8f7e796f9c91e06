using System.Buffers;
using System.Globalization;
using System.Numerics;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>The methods of Python's str that templates use.</summary>
internal static class StringMethods
{
    private static readonly SearchValues<char> _lineEnds = SearchValues.Create("\n\r\v\f\u001c\u001d\u001e\u0085\u2028\u2029");

    private delegate object? Method(string text, Arguments arguments, Budget budget);

    private static readonly Dictionary<string, (int Most, string[] Names, Method Body)> _methods = new()
    {
        ["strip"] = (1, [], (s, a, _) => PyText.Trim(s, Characters(a))),
        ["lstrip"] = (1, [], (s, a, _) => PyText.TrimStart(s, Characters(a))),
        ["rstrip"] = (1, [], (s, a, _) => PyText.TrimEnd(s, Characters(a))),
        ["upper"] = (0, [], (s, _, _) => Casing.Upper(s)),
        ["lower"] = (0, [], (s, _, _) => Casing.Lower(s)),
        ["casefold"] = (0, [], (s, _, _) => Casing.Lower(s.Replace("ß", "ss", StringComparison.Ordinal))),
        ["title"] = (0, [], (s, _, _) => Casing.Title(s)),
        ["capitalize"] = (0, [], (s, _, _) => Casing.Capitalize(s)),
        ["swapcase"] = (0, [], (s, _, _) => Casing.Swap(s)),
        ["split"] = (2, ["sep", "maxsplit"], (s, a, b) => Split(s, a, b, fromEnd: false)),
        ["rsplit"] = (2, ["sep", "maxsplit"], (s, a, b) => Split(s, a, b, fromEnd: true)),
        ["splitlines"] = (1, ["keepends"], (s, a, b) => SplitLines(s, a.Flag(0, "keepends", false), b)),
        ["partition"] = (1, [], (s, a, _) => Partition(s, Separator(a), last: false)),
        ["rpartition"] = (1, [], (s, a, _) => Partition(s, Separator(a), last: true)),
        ["replace"] = (3, ["count"], (s, a, b) => Replace(s, a.Text(0, "old"), a.Text(1, "new"), a.Number(2, "count", -1), b)),
        ["startswith"] = (3, [], (s, a, b) => Matches(s, a, b, (part, x) => part.StartsWith(x, StringComparison.Ordinal))),
        ["endswith"] = (3, [], (s, a, b) => Matches(s, a, b, (part, x) => part.EndsWith(x, StringComparison.Ordinal))),
        ["find"] = (3, [], (s, a, _) => new BigInteger(Find(s, a, last: false))),
        ["rfind"] = (3, [], (s, a, _) => new BigInteger(Find(s, a, last: true))),
        ["index"] = (3, [], (s, a, _) => new BigInteger(Found(Find(s, a, last: false)))),
        ["rindex"] = (3, [], (s, a, _) => new BigInteger(Found(Find(s, a, last: true)))),
        ["count"] = (3, [], (s, a, b) => new BigInteger(Count(Within(s, a), a.Text(0, "sub"), b))),
        ["join"] = (1, [], Join),
        ["format"] = (int.MaxValue, ["*"], (s, a, b) => BraceFormat.Write(s, a, b)),
        ["removeprefix"] = (1, [], (s, a, _) => s.StartsWith(a.Text(0, "prefix"), StringComparison.Ordinal) ? s[a.Text(0, "prefix").Length..] : s),
        ["removesuffix"] = (1, [], (s, a, _) => a.Text(0, "suffix") is { Length: > 0 } end && s.EndsWith(end, StringComparison.Ordinal) ? s[..^end.Length] : s),
        ["zfill"] = (1, [], (s, a, b) => ZeroFill(s, a.Number(0, "width", 0), b)),
        ["ljust"] = (2, [], (s, a, b) => Pad(s, a, b, (missing, _) => 0)),
        ["rjust"] = (2, [], (s, a, b) => Pad(s, a, b, (missing, _) => missing)),
        ["center"] = (2, [], (s, a, b) => Pad(s, a, b, (missing, width) => (missing / 2) + (missing & width & 1))),
        ["isspace"] = (0, [], (s, _, _) => s.Length > 0 && s.All(PyText.IsWhiteSpace)),
        ["isdigit"] = (0, [], (s, _, _) => All(s, r => Rune.GetUnicodeCategory(r) == UnicodeCategory.DecimalDigitNumber || "²³¹".Contains(r.ToString(), StringComparison.Ordinal))),
        ["isdecimal"] = (0, [], (s, _, _) => All(s, r => Rune.GetUnicodeCategory(r) == UnicodeCategory.DecimalDigitNumber)),
        ["isnumeric"] = (0, [], (s, _, _) => All(s, Rune.IsNumber)),
        ["isalpha"] = (0, [], (s, _, _) => All(s, Rune.IsLetter)),
        ["isalnum"] = (0, [], (s, _, _) => All(s, r => Rune.IsLetter(r) || Rune.IsNumber(r))),
        ["isascii"] = (0, [], (s, _, _) => s.All(char.IsAscii)),
        ["isupper"] = (0, [], (s, _, _) => Casing.Lower(s) != s && Casing.Upper(s) == s),
        ["islower"] = (0, [], (s, _, _) => Casing.Upper(s) != s && Casing.Lower(s) == s),
    };

    /// <summary>A method, bound to its text; null where str has none of the name.</summary>
    public static PyFunction? Find(object target, string name, Budget budget)
    {
        if (!_methods.TryGetValue(name, out var method) || !PyText.TryGet(target, out var text))
        {
            return null;
        }

        return new PyFunction(name, arguments =>
        {
            if (method.Names is not ["*"])
            {
                arguments.Check(method.Most, method.Names);
            }

            budget.Text(text.Length);
            if (target is not Markup)
            {
                return method.Body(text, arguments, budget);
            }

            // What comes into text that is marked as safe is escaped.
            var escaped = arguments.Positional.Select(argument => argument is string ? PyOperators.Escape(argument, budget) : argument);
            var result = method.Body(text, new Arguments(name, [.. escaped], arguments.Named), budget);
            return result is string marked ? new Markup(marked) : result;
        });
    }

    /// <summary>Replaces a part wherever it stands, or its first <paramref name="count"/> places.</summary>
    public static string Replace(string text, string old, string by, int count, Budget budget)
    {
        var places = Count(text, old, budget);
        places = count < 0 ? places : Math.Min(places, count);
        budget.Text(text.Length + (((long)by.Length - old.Length) * places));
        var writer = new StringBuilder();
        var at = 0;
        if (old.Length == 0)
        {
            foreach (string? character in PyText.Characters(text))
            {
                writer.Append(places-- > 0 ? by : "").Append(character);
            }

            return writer.Append(places > 0 ? by : "").ToString();
        }

        for (; places > 0; places--)
        {
            var next = text.IndexOf(old, at, StringComparison.Ordinal);
            writer.Append(text, at, next - at).Append(by);
            at = next + old.Length;
        }

        return writer.Append(text, at, text.Length - at).ToString();
    }

    private static string? Characters(Arguments arguments) => arguments.Get(0, "chars", null) is null ? null : arguments.Text(0, "chars");

    private static string Separator(Arguments arguments) =>
        arguments.Text(0, "sep") is { Length: > 0 } separator ? separator : throw new TemplateError("empty separator");

    private static bool All(string text, Func<Rune, bool> holds) => text.Length > 0 && text.EnumerateRunes().All(holds);

    private static int Count(string text, string part, Budget budget)
    {
        budget.Text(text.Length);
        if (part.Length == 0)
        {
            return PyText.Length(text) + 1;
        }

        return text.AsSpan().Count(part);
    }

    private static PySequence Split(string text, Arguments arguments, Budget budget, bool fromEnd)
    {
        var separator = arguments.Get(0, "sep", null) is null ? null : Separator(arguments);
        var most = arguments.Number(1, "maxsplit", -1);
        var parts = separator is null ? SplitWords(text, most < 0 ? int.MaxValue : most, fromEnd) : SplitAt(text, separator, most < 0 ? int.MaxValue : most, fromEnd);
        budget.Step(parts.Count);
        return PySequence.List(parts);
    }

    private static List<string> SplitAt(string text, string separator, int most, bool fromEnd)
    {
        var parts = new List<string>();
        if (!fromEnd)
        {
            var at = 0;
            for (int next; most > 0 && (next = text.IndexOf(separator, at, StringComparison.Ordinal)) >= 0; most--)
            {
                parts.Add(text[at..next]);
                at = next + separator.Length;
            }

            parts.Add(text[at..]);
            return parts;
        }

        var end = text.Length;
        for (int next; most > 0 && (next = text.AsSpan(0, end).LastIndexOf(separator)) >= 0; most--)
        {
            parts.Add(text[(next + separator.Length)..end]);
            end = next;
        }

        parts.Add(text[..end]);
        parts.Reverse();
        return parts;
    }

    private static List<string> SplitWords(string text, int most, bool fromEnd)
    {
        var parts = new List<string>();
        var rest = fromEnd ? PyText.TrimEnd(text) : PyText.TrimStart(text);
        while (rest.Length > 0)
        {
            var space = fromEnd ? rest.AsSpan().LastIndexOfAny(PyText.WhiteSpace) : rest.AsSpan().IndexOfAny(PyText.WhiteSpace);
            if (most-- == 0 || space < 0)
            {
                parts.Add(rest); // with the white space at its far end
                break;
            }

            parts.Add(fromEnd ? rest[(space + 1)..] : rest[..space]);
            rest = fromEnd ? PyText.TrimEnd(rest[..space]) : PyText.TrimStart(rest[space..]);
        }

        if (fromEnd)
        {
            parts.Reverse();
        }

        return parts;
    }

    private static PySequence SplitLines(string text, bool keepEnds, Budget budget)
    {
        var lines = new List<object?>();
        for (var at = 0; at < text.Length;)
        {
            budget.Step();
            var end = text.AsSpan(at).IndexOfAny(_lineEnds);
            if (end < 0)
            {
                lines.Add(text[at..]);
                break;
            }

            end += at;
            var next = text[end] == '\r' && end + 1 < text.Length && text[end + 1] == '\n' ? end + 2 : end + 1;
            lines.Add(text[at..(keepEnds ? next : end)]);
            at = next;
        }

        return PySequence.List(lines);
    }

    private static PySequence Partition(string text, string separator, bool last)
    {
        var at = last ? text.LastIndexOf(separator, StringComparison.Ordinal) : text.IndexOf(separator, StringComparison.Ordinal);
        return at >= 0 ? PySequence.Tuple(text[..at], separator, text[(at + separator.Length)..])
            : last ? PySequence.Tuple("", "", text) : PySequence.Tuple(text, "", "");
    }

    /// <summary>The part between the second and third argument, which are indices as of a slice.</summary>
    private static string Within(string text, Arguments arguments)
    {
        var (start, stop) = Bounds(text, arguments);
        return start <= stop ? text[start..stop] : "";
    }

    private static (int Start, int Stop) Bounds(string text, Arguments arguments)
    {
        if (arguments.Positional.Count < 2)
        {
            return (0, text.Length);
        }

        var (start, stop, _) = Slice.Of(arguments.Get(1, "start", null), arguments.Get(2, "end", null), null).Within(PyText.Length(text));
        return (PyText.ToUtf16(text, start), PyText.ToUtf16(text, stop));
    }

    private static bool Matches(string text, Arguments arguments, Budget budget, Func<string, string, bool> matches)
    {
        var part = Within(text, arguments);
        var sought = arguments.Required(0, "prefix") is PySequence { Kind: SequenceKind.Tuple } several ? several.Items : [arguments.Text(0, "prefix")];
        budget.Step(sought.Count);
        return sought.Any(item => PyText.TryGet(item, out var one) && matches(part, one));
    }

    private static int Find(string text, Arguments arguments, bool last)
    {
        var (start, stop) = Bounds(text, arguments);
        if (start > stop)
        {
            return -1;
        }

        var part = text.AsSpan(start, stop - start);
        var sought = arguments.Text(0, "sub");
        var at = last ? part.LastIndexOf(sought) : part.IndexOf(sought);
        return at < 0 ? -1 : PyText.FromUtf16(text, start + at);
    }

    private static int Found(int index) => index >= 0 ? index : throw new TemplateError("substring not found");

    private static string Join(string text, Arguments arguments, Budget budget)
    {
        var writer = new StringBuilder();
        var count = 0;
        foreach (var item in PyType.Iterate(arguments.Required(0, "iterable")))
        {
            budget.Step();
            var part = PyText.TryGet(item, out var given)
                ? given
                : throw new TemplateError($"sequence item {count}: expected str instance, {PyType.Of(item)} found");
            budget.Text((long)writer.Length + text.Length + part.Length <= Budget.MaxText ? text.Length + part.Length : long.MaxValue);
            writer.Append(count++ == 0 ? "" : text).Append(part);
        }

        return writer.ToString();
    }

    private static string ZeroFill(string text, int width, Budget budget)
    {
        budget.Text(width);
        var missing = width - PyText.Length(text);
        var sign = text.Length > 0 && text[0] is '+' or '-' ? 1 : 0;
        return missing <= 0 ? text : string.Concat(text.AsSpan(0, sign), new string('0', missing), text.AsSpan(sign));
    }

    /// <summary>Pads to a width; how much of what is missing goes to the left is the caller's.</summary>
    private static string Pad(string text, Arguments arguments, Budget budget, Func<int, int, int> left)
    {
        var width = PyNumber.ToIndex(arguments.Required(0, "width"));
        var fill = arguments.Text(1, "fillchar", " ");
        if (PyText.Length(fill) != 1)
        {
            throw new TemplateError("The fill character must be exactly one character long");
        }

        budget.Text(width);
        var missing = width - PyText.Length(text);
        if (missing <= 0)
        {
            return text;
        }

        var before = left(missing, width);
        return new StringBuilder().Insert(0, fill, before).Append(text).Append(new StringBuilder().Insert(0, fill, missing - before)).ToString();
    }
}

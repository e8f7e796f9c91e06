using System.Numerics;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>A filter: a value, what it is called with, and what comes out.</summary>
internal delegate object? Filter(object? value, Arguments arguments, Budget budget);

/// <summary>Every filter by its name: those of single values here, those of sequences in <see cref="SequenceFilters"/>.</summary>
internal static class Filters
{
    /// <summary>All of them.</summary>
    public static IReadOnlyDictionary<string, Filter> All { get; } = Simple().Concat(SequenceFilters.All).ToDictionary(StringComparer.Ordinal);

    private static Dictionary<string, Filter> Simple()
    {
        var filters = new Dictionary<string, Filter>
        {
            ["abs"] = (v, a, _) => Absolute(v, a),
            ["attr"] = (v, a, b) => PyAttributes.TryGet(v, a.Text(0, "name"), b, out var found) ? found : Undefined.Attribute(v, a.Text(0, "name")),
            ["capitalize"] = Text((s, _, _) => Casing.Capitalize(s)),
            ["center"] = Text((s, a, b) => Center(s, a.Number(0, "width", 80), b), "width"),
            ["default"] = Default,
            ["escape"] = (v, a, b) => new Markup(PyOperators.Escape(v, b)),
            ["float"] = ToFloat,
            ["forceescape"] = (v, a, b) => new Markup(PyOperators.Escape(PyRepr.Str(v, b), b)),
            ["format"] = (v, a, b) => PrintfFormat.Write(PyRepr.Str(v, b), FormatValues(a), b),
            ["indent"] = Indent,
            ["int"] = ToInt,
            ["length"] = (v, a, _) => new BigInteger(PyType.Length(v)),
            ["lower"] = Text((s, _, _) => Casing.Lower(s)),
            ["replace"] = (v, a, b) => Replace(v, a, b),
            ["round"] = Round,
            ["safe"] = (v, a, b) => new Markup(PyRepr.Str(v, b)),
            ["string"] = (v, a, b) => v as Markup ?? (object)PyRepr.Str(v, b),
            ["title"] = Text((s, _, _) => Title(s)),
            ["tojson"] = PyJson.Write,
            ["trim"] = Text((s, a, _) => PyText.Trim(s, a.Get(0, "chars", null) is null ? null : a.Text(0, "chars")), "chars"),
            ["truncate"] = Text(Truncate, "length", "killwords", "end", "leeway"),
            ["upper"] = Text((s, _, _) => Casing.Upper(s)),
            ["urlencode"] = (v, a, b) => UrlEncode(v, b),
            ["wordcount"] = (v, a, b) => new BigInteger(WordCount(PyRepr.Str(v, b))),
        };
        filters["count"] = filters["length"];
        filters["d"] = filters["default"];
        filters["e"] = filters["escape"];
        return filters;
    }

    /// <summary>A filter of texts: what is marked as safe stays so.</summary>
    private static Filter Text(Func<string, Arguments, Budget, string> body, params string[] names) => (value, arguments, budget) =>
    {
        arguments.Check(names.Length, names);
        var text = PyRepr.Str(value, budget);
        budget.Text(text.Length);
        var result = body(text, arguments, budget);
        return value is Markup ? new Markup(result) : result;
    };

    private static object Absolute(object? value, Arguments arguments)
    {
        arguments.Check(0);
        return PyNumber.TryInteger(value, out var number) ? BigInteger.Abs(number)
            : value is double real ? Math.Abs(real)
            : throw (value as Undefined)?.Error() ?? new TemplateError($"bad operand type for abs(): '{PyType.Of(value)}'");
    }

    private static object? Default(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(2, "default_value", "boolean");
        var isMissing = value is Undefined || (arguments.Flag(1, "boolean", false) && !PyType.IsTrue(value));
        return isMissing ? arguments.Get(0, "default_value", "") : value;
    }

    private static object ToFloat(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(1, "default");
        return value is Undefined missing ? throw missing.Error()
            : PyNumber.IsNumber(value) ? PyNumber.ToDouble(value)
            : PyText.TryGet(value, out var text) && PyNumber.TryParse(text, out double number) ? number
            : arguments.Get(0, "default", 0.0)!;
    }

    private static object ToInt(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(2, "default", "base");
        var otherwise = arguments.Get(0, "default", BigInteger.Zero)!;
        var numberBase = arguments.Number(1, "base", 10);
        switch (value)
        {
            case Undefined missing:
                throw missing.Error();
            case double real:
                return double.IsFinite(real) ? PyNumber.Truncate(real) : otherwise;
            case string or Markup:
                PyText.TryGet(value, out var text);
                if (numberBase is 16 or 8 or 2)
                {
                    return OfBase(text!, numberBase) is { } parsed ? parsed : otherwise;
                }

                return PyNumber.TryParse(text!, out BigInteger number) ? number
                    : PyNumber.TryParse(text!, out double fraction) && double.IsFinite(fraction) ? PyNumber.Truncate(fraction)
                    : otherwise;
            default:
                return PyNumber.TryInteger(value, out var integer) ? integer : otherwise;
        }
    }

    private static BigInteger? OfBase(string text, int numberBase)
    {
        var digits = PyText.Trim(text, null).ToLowerInvariant();
        var negative = digits.StartsWith('-');
        digits = digits.TrimStart('+', '-');
        var prefix = numberBase switch { 16 => "0x", 8 => "0o", _ => "0b" };
        digits = digits.StartsWith(prefix, StringComparison.Ordinal) ? digits[2..] : digits;
        if (digits.Length is 0 or > 1000)
        {
            return null;
        }

        var number = BigInteger.Zero;
        foreach (var c in digits)
        {
            var digit = char.IsAsciiHexDigit(c) ? Convert.ToInt32(c.ToString(), 16) : int.MaxValue;
            if (digit >= numberBase)
            {
                return null;
            }

            number = (number * numberBase) + digit;
        }

        return negative ? -number : number;
    }

    private static object? FormatValues(Arguments arguments)
    {
        if (arguments.Named.Count == 0)
        {
            return PySequence.Tuple([.. arguments.Positional]);
        }

        var dict = new PyDict();
        foreach (var (name, value) in arguments.Named)
        {
            dict.Set(name, value);
        }

        return dict;
    }

    private static object Indent(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(3, "width", "first", "blank");
        var indention = PyText.TryGet(arguments.Get(0, "width", new BigInteger(4)), out var given) ? given : new string(' ', Math.Clamp(arguments.Number(0, "width", 4), 0, 1000));
        var (first, blank) = (arguments.Flag(1, "first", false), arguments.Flag(2, "blank", false));
        var text = PyRepr.Str(value, budget);
        // Jinja2 puts a newline behind the text to keep one that is there, and so does this.
        var lines = (PySequence)StringMethods.Find(text + "\n", "splitlines", budget)!.Call([], Arguments.NoNames)!;
        budget.Text(text.Length + ((long)indention.Length * lines.Items.Count));
        var writer = new StringBuilder(first ? indention : "");
        for (var i = 0; i < lines.Items.Count; i++)
        {
            var line = (string)lines.Items[i]!;
            writer.Append(i == 0 ? "" : "\n").Append(i > 0 && (blank || line.Length > 0) ? indention : "").Append(line);
        }

        return value is Markup ? new Markup(writer.ToString()) : writer.ToString();
    }

    private static string Replace(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(3, "old", "new", "count");
        var count = arguments.Get(2, "count", null) is null ? -1 : arguments.Number(2, "count", -1);
        return StringMethods.Replace(
            PyRepr.Str(value, budget), PyRepr.Str(arguments.Required(0, "old"), budget), PyRepr.Str(arguments.Required(1, "new"), budget), count, budget);
    }

    private static object Round(object? value, Arguments arguments, Budget budget)
    {
        arguments.Check(2, "precision", "method");
        var precision = arguments.Number(0, "precision", 0);
        var method = arguments.Text(1, "method", "common");
        if (!PyNumber.IsNumber(value))
        {
            throw (value as Undefined)?.Error() ?? new TemplateError($"type {PyType.Of(value)} doesn't define __round__ method");
        }

        if (method == "common" && PyNumber.TryInteger(value, out var integer) && precision >= 0)
        {
            return integer;
        }

        var number = PyNumber.ToDouble(value);
        var scale = Math.Pow(10, precision);
        return method switch
        {
            "common" when precision is >= 0 and <= 15 => double.Parse(number.ToString($"F{precision}", System.Globalization.CultureInfo.InvariantCulture), System.Globalization.CultureInfo.InvariantCulture),
            "common" when precision > 15 => number,
            "common" => Math.Round(number * scale, MidpointRounding.ToEven) / scale,
            "ceil" => Math.Ceiling(number * scale) / scale,
            "floor" => Math.Floor(number * scale) / scale,
            _ => throw new TemplateError("method must be common, ceil or floor"),
        };
    }

    /// <summary>Each word's first letter in upper case and the rest in lower case; words end at white space and at - ( { [ &lt;.</summary>
    private static string Title(string text)
    {
        var writer = new StringBuilder(text.Length);
        for (var at = 0; at < text.Length;)
        {
            var end = at;
            while (end < text.Length && !(text[end] is '-' or '(' or '{' or '[' or '<' || PyText.IsWhiteSpace(text[end])))
            {
                end++;
            }

            if (end > at)
            {
                var first = at + PyText.ToUtf16(text[at..end], 1);
                writer.Append(Casing.Upper(text[at..first])).Append(Casing.Lower(text[first..end]));
            }

            if (end < text.Length)
            {
                writer.Append(text[end]);
            }

            at = end + 1;
        }

        return writer.ToString();
    }

    private static string Truncate(string text, Arguments arguments, Budget budget)
    {
        var length = arguments.Number(0, "length", 255);
        var end = arguments.Text(2, "end", "...");
        var leeway = arguments.Get(3, "leeway", null) is null ? 5 : arguments.Number(3, "leeway", 5);
        var endLength = PyText.Length(end);
        if (length < endLength)
        {
            throw new TemplateError($"expected length >= {endLength}, got {length}");
        }

        if (PyText.Length(text) <= (long)length + leeway)
        {
            return text;
        }

        var cut = text[..PyText.ToUtf16(text, length - endLength)];
        var space = arguments.Flag(1, "killwords", false) ? -1 : cut.LastIndexOf(' ');
        return (space < 0 ? cut : cut[..space]) + end;
    }

    private static string Center(string text, int width, Budget budget) =>
        (string)StringMethods.Find(text, "center", budget)!.Call([new BigInteger(width)], Arguments.NoNames)!;

    private static string UrlEncode(object? value, Budget budget)
    {
        static string Quote(string text) => Uri.EscapeDataString(text).Replace("%2F", "/", StringComparison.Ordinal);
        if (value is PyDict or PySequence)
        {
            throw new TemplateError("urlencode() of several values is not supported; encode each");
        }

        var plain = PyRepr.Str(value, budget);
        budget.Text(plain.Length * 9L);
        return Quote(plain);
    }

    private static int WordCount(string text)
    {
        var words = 0;
        var inWord = false;
        foreach (var rune in text.EnumerateRunes())
        {
            var isWord = Rune.IsLetterOrDigit(rune) || rune.Value == '_';
            words += isWord && !inWord ? 1 : 0;
            inWord = isWord;
        }

        return words;
    }
}

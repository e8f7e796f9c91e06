using System.Globalization;
using System.Numerics;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Python's <c>"..." % values</c>, with %s %r %a %d %i %u %f %e %x %o %c and %%, flags, width and precision.</summary>
internal static class PrintfFormat
{
    /// <summary>Writes values into a format.</summary>
    /// <param name="format">The text with its places.</param>
    /// <param name="values">A tuple, one value a place; a dict for places with names; or the only value.</param>
    /// <param name="budget">What it may take.</param>
    public static string Write(string format, object? values, Budget budget)
    {
        var rest = new Queue<object?>(values is PySequence { Kind: SequenceKind.Tuple } tuple ? tuple.Items : [values]);
        var writer = new StringBuilder();
        var named = false;
        for (var at = 0; at < format.Length; at++)
        {
            if (format[at] != '%')
            {
                writer.Append(format[at]);
                continue;
            }

            at++;
            object? value = null;
            var isNamed = at < format.Length && format[at] == '(';
            if (isNamed)
            {
                var close = format.IndexOf(')', at);
                if (close < 0 || values is not PyDict dict)
                {
                    throw new TemplateError(close < 0 ? "incomplete format key" : "format requires a mapping");
                }

                var key = format[(at + 1)..close];
                value = dict.TryGet(key, out var found) ? found : throw new TemplateError(PyRepr.Quote(key));
                at = close + 1;
                named = true;
            }

            var spec = Spec.Read(format, ref at, () => rest.Count > 0 ? PyNumber.ToIndex(rest.Dequeue()) : throw NotEnough());
            if (at >= format.Length)
            {
                throw new TemplateError("incomplete format");
            }

            if (format[at] == '%')
            {
                writer.Append('%');
                continue;
            }

            if (!isNamed && !rest.TryDequeue(out value))
            {
                throw NotEnough();
            }

            var text = spec.Apply(format[at], value, budget);
            budget.Text((long)writer.Length + text.Length);
            writer.Append(text);
        }

        return rest.Count == 0 || named || values is PyDict or PySequence { Kind: SequenceKind.List }
            ? writer.ToString()
            : throw new TemplateError("not all arguments converted during string formatting");
    }

    private static TemplateError NotEnough() => new("not enough arguments for format string");

    private sealed record Spec(string Flags, int Width, int? Precision)
    {
        public static Spec Read(string format, ref int at, Func<int> nextArgument)
        {
            var start = at;
            while (at < format.Length && format[at] is '-' or '+' or ' ' or '0' or '#')
            {
                at++;
            }

            var flags = format[start..at];
            var width = ReadNumber(format, ref at, nextArgument) ?? 0;
            int? precision = null;
            if (at < format.Length && format[at] == '.')
            {
                at++;
                precision = ReadNumber(format, ref at, nextArgument) ?? 0;
            }

            return new Spec(flags, width, precision);
        }

        public string Apply(char conversion, object? value, Budget budget)
        {
            budget.Text(Math.Max(Width, Precision ?? 0));
            if (Precision > 100 && conversion is 'f' or 'F' or 'e' or 'E')
            {
                throw new TemplateError("precision too large");
            }

            var text = conversion switch
            {
                's' => Cut(PyRepr.Str(value, budget)),
                'r' or 'a' => Cut(PyRepr.Repr(value, budget)),
                'd' or 'i' or 'u' => Signed(Integer(value, conversion).ToString(CultureInfo.InvariantCulture)),
                'x' => Signed(Hexadecimal(Integer(value, conversion))),
                'X' => Signed(Hexadecimal(Integer(value, conversion)).ToUpperInvariant()),
                'o' => Signed(Octal(Integer(value, conversion))),
                'f' or 'F' => Signed(Number(value).ToString($"F{Precision ?? 6}", CultureInfo.InvariantCulture)),
                'e' or 'E' => Signed(Exponential(Number(value), conversion)),
                'c' => Character(value),
                _ => throw new TemplateError($"unsupported format character '{conversion}'"),
            };
            var missing = Width - PyText.Length(text);
            if (missing <= 0)
            {
                return text;
            }

            if (Flags.Contains('-', StringComparison.Ordinal))
            {
                return text + new string(' ', missing);
            }

            if (Flags.Contains('0', StringComparison.Ordinal) && conversion is not ('s' or 'r' or 'a' or 'c'))
            {
                var sign = text.Length > 0 && text[0] is '-' or '+' or ' ' ? 1 : 0;
                return text[..sign] + new string('0', missing) + text[sign..];
            }

            return new string(' ', missing) + text;
        }

        private static int? ReadNumber(string format, ref int at, Func<int> nextArgument)
        {
            if (at < format.Length && format[at] == '*')
            {
                at++;
                return Math.Max(0, nextArgument());
            }

            var start = at;
            while (at < format.Length && char.IsAsciiDigit(format[at]))
            {
                at++;
            }

            return at == start ? null : int.TryParse(format.AsSpan(start, at - start), out var number) ? number : throw new TemplateError("width too big");
        }

        private string Cut(string text) => Precision is { } most && PyText.Length(text) > most ? text[..PyText.ToUtf16(text, most)] : text;

        private string Signed(string text) => text.StartsWith('-') ? text
            : Flags.Contains('+', StringComparison.Ordinal) ? "+" + text : Flags.Contains(' ', StringComparison.Ordinal) ? " " + text : text;

        private static BigInteger Integer(object? value, char conversion) => PyNumber.TryInteger(value, out var number) ? number
            : value is double real && conversion is 'd' or 'i' or 'u' ? PyNumber.Truncate((double)value!)
            : throw new TemplateError($"%{conversion} format: a real number is required, not {PyType.Of(value)}");

        private static double Number(object? value) =>
            PyNumber.IsNumber(value) ? PyNumber.ToDouble(value) : throw new TemplateError($"must be real number, not {PyType.Of(value)}");

        private string Exponential(double number, char conversion)
        {
            var text = number.ToString($"{conversion}{Precision ?? 6}", CultureInfo.InvariantCulture); // d.dddE+004
            var at = text.IndexOf(conversion, StringComparison.Ordinal);
            return at < 0 ? text : text[..(at + 2)] + int.Parse(text[(at + 2)..], CultureInfo.InvariantCulture).ToString("00", CultureInfo.InvariantCulture);
        }

        private static string Hexadecimal(BigInteger number)
        {
            var digits = BigInteger.Abs(number).ToString("x", CultureInfo.InvariantCulture).TrimStart('0');
            return (number.Sign < 0 ? "-" : "") + (digits.Length == 0 ? "0" : digits);
        }

        private static string Octal(BigInteger number)
        {
            var digits = new StringBuilder();
            for (var rest = BigInteger.Abs(number); !rest.IsZero; rest >>= 3)
            {
                digits.Insert(0, (int)(rest & 7));
            }

            return (number.Sign < 0 ? "-" : "") + (digits.Length == 0 ? "0" : digits.ToString());
        }

        private static string Character(object? value) => value switch
        {
            string text when PyText.Length(text) == 1 => text,
            BigInteger code when code >= 0 && code < 0x110000 && Rune.IsValid((int)code) => new Rune((int)code).ToString(),
            _ => throw new TemplateError("%c requires int or char"),
        };
    }
}

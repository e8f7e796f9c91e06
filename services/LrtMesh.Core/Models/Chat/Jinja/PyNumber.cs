using System.Globalization;
using System.Numerics;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Numbers as Python has them: whole ones of any length (here up to a limit), floats, and bools that count as 0 and 1.</summary>
internal static class PyNumber
{
    /// <summary>Most digits of a whole number.</summary>
    public const int MaxDigits = 4300; // Python's own limit for numbers as text

    private static readonly BigInteger _largest = BigInteger.Pow(10, MaxDigits);

    public static bool IsNumber(object? value) => value is bool or BigInteger or double;

    /// <summary>A whole number; bools are.</summary>
    public static bool TryInteger(object? value, out BigInteger number)
    {
        number = value switch { BigInteger integer => integer, bool flag => flag ? BigInteger.One : BigInteger.Zero, _ => BigInteger.Zero };
        return value is BigInteger or bool;
    }

    public static double ToDouble(object? value) => value switch
    {
        double number => number,
        bool flag => flag ? 1 : 0,
        _ => (double)(BigInteger)value!,
    };

    /// <summary>A number to index or to count with; far ones are cut to the range.</summary>
    public static int ToIndex(object? value) => TryInteger(value, out var number)
        ? (int)BigInteger.Clamp(number, int.MinValue, int.MaxValue)
        : throw (value as Undefined)?.Error() ?? new TemplateError($"'{PyType.Of(value)}' object cannot be interpreted as an integer");

    /// <summary>Orders two numbers; null where one is not a number (NaN).</summary>
    public static int? Compare(object? left, object? right)
    {
        if (TryInteger(left, out var a) && TryInteger(right, out var b))
        {
            return a.CompareTo(b);
        }

        var (x, y) = (ToDouble(left), ToDouble(right));
        return double.IsNaN(x) || double.IsNaN(y) ? null : x.CompareTo(y);
    }

    /// <summary>Computes.</summary>
    /// <exception cref="TemplateError">As Python has it: a division by zero, say.</exception>
    public static object Compute(string symbol, object? left, object? right)
    {
        if (TryInteger(left, out var a) && TryInteger(right, out var b))
        {
            return symbol switch
            {
                "+" => Checked(a + b),
                "-" => Checked(a - b),
                "*" => Checked(a * b),
                "/" => b.IsZero ? throw new TemplateError("division by zero") : (double)a / (double)b,
                "//" => b.IsZero ? throw new TemplateError("integer division or modulo by zero") : FloorDivide(a, b),
                "%" => b.IsZero ? throw new TemplateError("integer modulo by zero") : a - (FloorDivide(a, b) * b),
                _ => Power(a, b),
            };
        }

        var (x, y) = (ToDouble(left), ToDouble(right));
        return symbol switch
        {
            "+" => x + y,
            "-" => x - y,
            "*" => x * y,
            "/" => y == 0 ? throw new TemplateError("float division by zero") : x / y,
            "//" => y == 0 ? throw new TemplateError("float floor division by zero") : Math.Floor(x / y),
            "%" => y == 0 ? throw new TemplateError("float modulo") : FloatModulo(x, y),
            _ => Math.Pow(x, y),
        };
    }

    /// <summary>The shortest decimal digits that stand for a float, laid out as Python does.</summary>
    public static string Write(double number)
    {
        if (!double.IsFinite(number))
        {
            return double.IsNaN(number) ? "nan" : number > 0 ? "inf" : "-inf";
        }

        if (number == 0)
        {
            return double.IsNegative(number) ? "-0.0" : "0.0";
        }

        var text = number.ToString("E16", CultureInfo.InvariantCulture);
        for (var digits = 0; digits < 17; digits++)
        {
            text = number.ToString($"E{digits}", CultureInfo.InvariantCulture);
            if (double.Parse(text, CultureInfo.InvariantCulture) == number)
            {
                break;
            }
        }

        var sign = number < 0 ? "-" : "";
        var at = text.IndexOf('E', StringComparison.Ordinal);
        var mantissa = text[sign.Length..at].Replace(".", "", StringComparison.Ordinal);
        var exponent = int.Parse(text[(at + 1)..], CultureInfo.InvariantCulture);
        if (exponent is < -4 or >= 16)
        {
            var fraction = mantissa.Length > 1 ? $".{mantissa[1..]}" : "";
            return string.Create(CultureInfo.InvariantCulture, $"{sign}{mantissa[0]}{fraction}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}");
        }

        if (exponent < 0)
        {
            return $"{sign}0.{new string('0', -exponent - 1)}{mantissa}";
        }

        return mantissa.Length > exponent + 1
            ? $"{sign}{mantissa[..(exponent + 1)]}.{mantissa[(exponent + 1)..]}"
            : $"{sign}{mantissa.PadRight(exponent + 1, '0')}.0";
    }

    /// <summary>Reads what Python's float() reads.</summary>
    public static bool TryParse(string text, out double number)
    {
        var trimmed = PyText.Trim(text, null);
        var plain = trimmed.TrimStart('+', '-').ToLowerInvariant();
        if (plain is "inf" or "infinity" or "nan" && trimmed.Length - plain.Length <= 1)
        {
            number = plain == "nan" ? double.NaN : trimmed[0] == '-' ? double.NegativeInfinity : double.PositiveInfinity;
            return true;
        }

        const NumberStyles style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint | NumberStyles.AllowExponent;
        return double.TryParse(WithoutUnderscores(trimmed), style, CultureInfo.InvariantCulture, out number) && !trimmed.Contains(',', StringComparison.Ordinal);
    }

    /// <summary>Reads what Python's int() reads in base ten.</summary>
    public static bool TryParse(string text, out BigInteger number)
    {
        var trimmed = PyText.Trim(text, null);
        number = default;
        return trimmed.Length <= MaxDigits && BigInteger.TryParse(WithoutUnderscores(trimmed), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out number);
    }

    /// <summary>The whole part of a float.</summary>
    public static BigInteger Truncate(double number) => double.IsFinite(number)
        ? new BigInteger(Math.Truncate(number))
        : throw new TemplateError(double.IsNaN(number) ? "cannot convert float NaN to integer" : "cannot convert float infinity to integer");

    private static string WithoutUnderscores(string text)
    {
        for (var at = 0; (at = text.IndexOf('_', at)) >= 0; at++)
        {
            if (at == 0 || at + 1 == text.Length || !char.IsAsciiDigit(text[at - 1]) || !char.IsAsciiDigit(text[at + 1]))
            {
                return text; // not a number
            }
        }

        return text.Replace("_", "", StringComparison.Ordinal);
    }

    private static BigInteger Checked(BigInteger number) => BigInteger.Abs(number) < _largest
        ? number
        : throw new TemplateError($"makes a whole number of more than {MaxDigits} digits");

    private static BigInteger FloorDivide(BigInteger a, BigInteger b)
    {
        var quotient = BigInteger.DivRem(a, b, out var remainder);
        return !remainder.IsZero && (remainder.Sign < 0) != (b.Sign < 0) ? quotient - 1 : quotient;
    }

    private static double FloatModulo(double x, double y)
    {
        var remainder = x % y;
        return remainder != 0 && (remainder < 0) != (y < 0) ? remainder + y : remainder;
    }

    private static object Power(BigInteger a, BigInteger b)
    {
        if (b.Sign < 0)
        {
            return a.IsZero ? throw new TemplateError("0.0 cannot be raised to a negative power") : Math.Pow((double)a, (double)b);
        }

        if (!a.IsZero && !a.IsOne && a != BigInteger.MinusOne && (b > 100_000 || (a.GetBitLength() - 1) * (long)b > _largest.GetBitLength()))
        {
            throw new TemplateError($"makes a whole number of more than {MaxDigits} digits");
        }

        var exponent = b > 100_000 ? (int)(b % 2) + 2 : (int)b; // of 0, 1 and -1
        return Checked(BigInteger.Pow(a, exponent));
    }
}

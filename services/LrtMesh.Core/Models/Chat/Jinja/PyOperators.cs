using System.Numerics;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Operators, items and slices as Python has them.</summary>
internal static class PyOperators
{
    /// <summary>a + b, a * b and the like.</summary>
    public static object? Compute(string symbol, object? left, object? right, Budget budget)
    {
        if (PyNumber.IsNumber(left) && PyNumber.IsNumber(right))
        {
            return PyNumber.Compute(symbol, left, right);
        }

        if ((left as Undefined ?? (symbol == "%" && left is string ? null : right as Undefined)) is { } missing)
        {
            throw missing.Error();
        }

        return (symbol, left, right) switch
        {
            ("+", Markup, _) or ("+", _, Markup) when PyText.TryGet(left, out _) && PyText.TryGet(right, out _) =>
                new Markup(Concatenate(Escape(left, budget), Escape(right, budget), budget)),
            ("+", string a, string b) => Concatenate(a, b, budget),
            ("+", PySequence a, PySequence b) when a.Kind == b.Kind && a.Kind is SequenceKind.List or SequenceKind.Tuple => Concatenate(a, b, budget),
            ("%", Markup format, PySequence { Kind: SequenceKind.Tuple } values) =>
                new Markup(PrintfFormat.Write(format.Text, PySequence.Tuple([.. values.Items.Select(value => EscapeText(value, budget))]), budget)),
            ("%", Markup format, _) => new Markup(PrintfFormat.Write(format.Text, EscapeText(right, budget), budget)),
            ("%", string format, _) => PrintfFormat.Write(format, right, budget),
            ("*", _, _) when Repeat(left, right, budget) is { } repeated => repeated,
            ("*", _, _) when Repeat(right, left, budget) is { } repeated => repeated,
            ("+", string or Markup, _) => throw new TemplateError($"can only concatenate str (not \"{PyType.Of(right)}\") to str"),
            _ => throw Unsupported(symbol == "**" ? "** or pow()" : symbol, left, right),
        };
    }

    /// <summary>-x or +x.</summary>
    public static object Sign(string symbol, object? operand)
    {
        if (PyNumber.TryInteger(operand, out var number))
        {
            return symbol == "-" ? -number : number;
        }

        return operand switch
        {
            double value => symbol == "-" ? -value : value,
            Undefined missing => throw missing.Error(),
            _ => throw new TemplateError($"bad operand type for unary {symbol}: '{PyType.Of(operand)}'"),
        };
    }

    /// <summary>The text of a value with &amp; &lt; &gt; ' " escaped; what is marked as safe stays as it is.</summary>
    public static string Escape(object? value, Budget budget)
    {
        if (value is Markup markup)
        {
            return markup.Text;
        }

        var text = PyRepr.Str(value, budget);
        budget.Text(text.Length * 5L);
        return text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace(">", "&gt;", StringComparison.Ordinal)
            .Replace("'", "&#39;", StringComparison.Ordinal).Replace("\"", "&#34;", StringComparison.Ordinal);
    }

    /// <summary>x[index]; null where there is no such item.</summary>
    /// <param name="target">What is looked into.</param>
    /// <param name="index">A key, an index or a <see cref="Slice"/>.</param>
    /// <param name="item">The item.</param>
    public static bool TryItem(object? target, object? index, out object? item)
    {
        item = null;
        switch (target)
        {
            case PyDict dict:
                return index is not (PyDict or Slice) and not PySequence { Kind: SequenceKind.List } && dict.TryGet(index, out item);
            case PySequence { IsView: false } sequence when PyNumber.TryInteger(index, out var number):
                if (number < 0)
                {
                    number += sequence.Items.Count;
                }

                if (number < 0 || number >= sequence.Items.Count)
                {
                    return false;
                }

                item = sequence.Items[(int)number];
                return true;
            case string or Markup when PyNumber.TryInteger(index, out var number):
                PyText.TryGet(target, out var text);
                if (number < 0)
                {
                    number += PyText.Length(text!);
                }

                if (number < 0 || number >= text!.Length)
                {
                    return false;
                }

                var start = PyText.ToUtf16(text, (int)number);
                if (start >= text.Length)
                {
                    return false;
                }

                item = text[start..PyText.ToUtf16(text, (int)number + 1)];
                item = target is Markup ? new Markup((string)item) : item;
                return true;
            default:
                return false;
        }
    }

    /// <summary>x[start:stop:step].</summary>
    /// <returns>False where the value has no slices.</returns>
    public static bool TrySlice(object? target, Slice slice, Budget budget, out object? part)
    {
        part = null;
        if (PyText.TryGet(target, out var text))
        {
            budget.Text(text.Length);
            string cut;
            var (start, stop, step) = slice.Within(PyText.Length(text));
            if (step == 1)
            {
                cut = start < stop ? text[PyText.ToUtf16(text, start)..PyText.ToUtf16(text, stop)] : "";
            }
            else
            {
                budget.Step(text.Length);
                var characters = PyText.Characters(text).ToArray();
                var writer = new StringBuilder();
                for (long i = start; step > 0 ? i < stop : i > stop; i += step)
                {
                    writer.Append((string)characters[i]!);
                }

                cut = writer.ToString();
            }

            part = target is Markup ? new Markup(cut) : cut;
            return true;
        }

        if (target is not PySequence { IsView: false } sequence)
        {
            return false;
        }

        var items = new List<object?>();
        var (from, to, by) = slice.Within(sequence.Items.Count);
        for (long i = from; by > 0 ? i < to : i > to; i += by)
        {
            budget.Step();
            items.Add(sequence.Items[(int)i]);
        }

        part = new PySequence(sequence.Kind, items)
        {
            Written = sequence.Kind == SequenceKind.Range ? Ranges.Write(items, by) : null,
        };
        return true;
    }

    private static object? EscapeText(object? value, Budget budget) => value is string ? Escape(value, budget) : value;

    private static string Concatenate(string left, string right, Budget budget)
    {
        budget.Text((long)left.Length + right.Length);
        return left + right;
    }

    private static PySequence Concatenate(PySequence left, PySequence right, Budget budget)
    {
        budget.Step(left.Items.Count + right.Items.Count);
        return new PySequence(left.Kind, [.. left.Items, .. right.Items]);
    }

    private static object? Repeat(object? value, object? count, Budget budget)
    {
        if (!PyNumber.TryInteger(count, out _))
        {
            return null;
        }

        var times = Math.Max(0, PyNumber.ToIndex(count));
        switch (value)
        {
            case string or Markup:
                PyText.TryGet(value, out var text);
                budget.Text((long)text!.Length * times);
                var repeated = new StringBuilder().Insert(0, text, text.Length == 0 ? 0 : times).ToString();
                return value is Markup ? new Markup(repeated) : repeated;
            case PySequence { Kind: SequenceKind.List or SequenceKind.Tuple } sequence:
                budget.Step((long)sequence.Items.Count * times);
                return new PySequence(sequence.Kind, sequence.Items.Count == 0 ? [] : [.. Enumerable.Repeat(sequence.Items, times).SelectMany(items => items)]);
            default:
                return null;
        }
    }

    private static TemplateError Unsupported(string symbol, object? left, object? right) =>
        new($"unsupported operand type(s) for {symbol}: '{PyType.Of(left)}' and '{PyType.Of(right)}'");
}

/// <summary>start:stop:step; null where it is left out.</summary>
internal sealed record Slice(BigInteger? Start, BigInteger? Stop, BigInteger Step)
{
    /// <summary>A slice of values.</summary>
    public static Slice Of(object? start, object? stop, object? step)
    {
        var by = Bound(step) ?? BigInteger.One;
        return by.IsZero ? throw new TemplateError("slice step cannot be zero") : new Slice(Bound(start), Bound(stop), by);
    }

    /// <summary>First index, the index at which it ends (not in it), and step, for a sequence of a length.</summary>
    public (int Start, int Stop, int Step) Within(int length)
    {
        var (low, high) = Step.Sign > 0 ? (0, length) : (-1, length - 1);
        BigInteger Place(BigInteger? bound, int otherwise) =>
            bound is { } given ? BigInteger.Clamp(given.Sign < 0 ? given + length : given, low, high) : otherwise;
        return (
            (int)Place(Start, Step.Sign > 0 ? low : high),
            (int)Place(Stop, Step.Sign > 0 ? high : low),
            (int)BigInteger.Clamp(Step, -int.MaxValue, int.MaxValue));
    }

    private static BigInteger? Bound(object? value) => value is null ? null
        : PyNumber.TryInteger(value, out var number) ? number
        : throw (value as Undefined)?.Error() ?? new TemplateError("slice indices must be integers or None or have an __index__ method");
}

/// <summary>range().</summary>
internal static class Ranges
{
    private const int MostItems = 100_000; // Jinja2's sandbox has the same limit

    /// <summary>range(stop), range(start, stop) or range(start, stop, step).</summary>
    public static PySequence Create(Arguments arguments, Budget budget)
    {
        arguments.Check(3);
        var bounds = arguments.Positional.Select(PyNumber.ToIndex).ToArray();
        var (start, stop, step) = bounds switch
        {
            [var only] => (0, only, 1),
            [var from, var to] => (from, to, 1),
            [var from, var to, var by] => (from, to, by),
            _ => throw new TemplateError("range expected at least 1 argument, got 0"),
        };
        if (step == 0)
        {
            throw new TemplateError("range() arg 3 must not be zero");
        }

        var count = Math.Max(0, (step > 0 ? (long)stop - start + step - 1 : (long)start - stop - step - 1) / Math.Abs((long)step));
        if (count > MostItems)
        {
            throw new TemplateError($"Range too big. The sandbox blocks ranges larger than MAX_RANGE ({MostItems}).");
        }

        budget.Step(count);
        return new PySequence(SequenceKind.Range, [.. Enumerable.Range(0, (int)count).Select(i => (object?)new BigInteger(start + ((long)i * step)))])
        {
            Written = step == 1 ? $"range({start}, {stop})" : $"range({start}, {stop}, {step})",
        };
    }

    /// <summary>How Python writes a part of a range.</summary>
    public static string Write(List<object?> items, int step)
    {
        if (items.Count == 0)
        {
            return "range(0, 0)";
        }

        var by = items.Count > 1 ? (BigInteger)items[1]! - (BigInteger)items[0]! : step;
        var stop = (BigInteger)items[^1]! + by;
        return by.IsOne ? $"range({items[0]}, {stop})" : $"range({items[0]}, {stop}, {by})";
    }
}

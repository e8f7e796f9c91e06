using System.Globalization;
using System.Numerics;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Values as text: Python's str() and repr().</summary>
internal static class PyRepr
{
    /// <summary>What printing a value gives.</summary>
    public static string Str(object? value, Budget budget) => value switch
    {
        string text => text,
        Markup markup => markup.Text,
        Undefined => "",
        _ => Repr(value, budget),
    };

    /// <summary>What a value looks like within another.</summary>
    public static string Repr(object? value, Budget budget)
    {
        if (value is not (PyDict or PySequence or string or Markup or Namespace))
        {
            return Plain(value);
        }

        var writer = new StringBuilder();
        Write(writer, value, budget);
        return writer.ToString();
    }

    /// <summary>A text in quotes, with what cannot be shown escaped.</summary>
    public static string Quote(string text)
    {
        var quote = text.Contains('\'', StringComparison.Ordinal) && !text.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        var writer = new StringBuilder(text.Length + 2).Append(quote);
        foreach (var rune in text.EnumerateRunes())
        {
            switch (rune.Value)
            {
                case '\\':
                    writer.Append("\\\\");
                    break;
                case '\n':
                    writer.Append("\\n");
                    break;
                case '\r':
                    writer.Append("\\r");
                    break;
                case '\t':
                    writer.Append("\\t");
                    break;
                case var c when c == quote:
                    writer.Append('\\').Append(quote);
                    break;
                default:
                    if (IsShown(rune))
                    {
                        writer.Append(rune);
                    }
                    else
                    {
                        var (mark, digits) = rune.Value <= 0xFF ? ('x', 2) : rune.Value <= 0xFFFF ? ('u', 4) : ('U', 8);
                        writer.Append('\\').Append(mark).Append(rune.Value.ToString($"x{digits}", CultureInfo.InvariantCulture));
                    }

                    break;
            }
        }

        return writer.Append(quote).ToString();
    }

    private static bool IsShown(Rune rune) => rune.Value == ' ' || Rune.GetUnicodeCategory(rune) is not (
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.Surrogate or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned
        or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator or UnicodeCategory.SpaceSeparator);

    private static string Plain(object? value) => value switch
    {
        null => "None",
        bool flag => flag ? "True" : "False",
        BigInteger number => number.ToString(CultureInfo.InvariantCulture),
        double number => PyNumber.Write(number),
        Undefined => "Undefined",
        PyFunction function => $"<function {function.Name}>",
        _ => $"<{PyType.Of(value)} object>",
    };

    private static void Write(StringBuilder writer, object? value, Budget budget)
    {
        budget.Step();
        budget.Enter();
        switch (value)
        {
            case string text:
                budget.Text(text.Length);
                writer.Append(Quote(text));
                break;
            case Markup markup:
                writer.Append("Markup(").Append(Quote(markup.Text)).Append(')');
                break;
            case PySequence { Written: { } written }:
                writer.Append(written);
                break;
            case PySequence { Kind: SequenceKind.Tuple } tuple:
                WriteItems(writer, tuple.Items, "(", tuple.Items.Count == 1 ? ",)" : ")", budget);
                break;
            case PySequence { Kind: SequenceKind.List } list:
                WriteItems(writer, list.Items, "[", "]", budget);
                break;
            case PySequence view:
                WriteItems(writer, view.Items, $"{PyType.Of(view)}([", "])", budget);
                break;
            case PyDict dict:
                WriteEntries(writer, dict.Entries, "{", "}", budget);
                break;
            case Namespace names:
                WriteEntries(writer, names.Attributes.Select(entry => ((object?)entry.Key, entry.Value)), "<Namespace {", "}>", budget);
                break;
            default:
                writer.Append(Plain(value));
                break;
        }

        budget.Leave();
        if (writer.Length > Budget.MaxText)
        {
            budget.Text(writer.Length);
        }
    }

    private static void WriteItems(StringBuilder writer, IReadOnlyList<object?> items, string open, string close, Budget budget)
    {
        writer.Append(open);
        for (var i = 0; i < items.Count; i++)
        {
            writer.Append(i == 0 ? "" : ", ");
            Write(writer, items[i], budget);
        }

        writer.Append(close);
    }

    private static void WriteEntries(StringBuilder writer, IEnumerable<(object? Key, object? Value)> entries, string open, string close, Budget budget)
    {
        writer.Append(open);
        var first = true;
        foreach (var (key, value) in entries)
        {
            writer.Append(first ? "" : ", ");
            first = false;
            Write(writer, key, budget);
            writer.Append(": ");
            Write(writer, value, budget);
        }

        writer.Append(close);
    }
}

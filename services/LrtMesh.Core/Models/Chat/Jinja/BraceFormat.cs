using System.Globalization;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>Python's <c>"{} {name!r}".format(...)</c>, with plain places: no attributes, items or format specifications.</summary>
internal static class BraceFormat
{
    /// <summary>Writes arguments into a format.</summary>
    public static string Write(string format, Arguments arguments, Budget budget)
    {
        var writer = new StringBuilder();
        var next = 0;
        for (var at = 0; at < format.Length; at++)
        {
            var c = format[at];
            if (c is not ('{' or '}'))
            {
                writer.Append(c);
                continue;
            }

            if (at + 1 < format.Length && format[at + 1] == c)
            {
                writer.Append(c);
                at++;
                continue;
            }

            var close = c == '{' ? format.IndexOf('}', at) : -1;
            if (close < 0)
            {
                throw new TemplateError($"Single '{c}' encountered in format string");
            }

            var place = format[(at + 1)..close];
            at = close;
            var mark = place.LastIndexOf('!');
            var conversion = mark < 0 ? "" : place[(mark + 1)..];
            var value = Find(mark < 0 ? place : place[..mark], arguments, ref next);
            var text = conversion switch
            {
                "" or "s" => PyRepr.Str(value, budget),
                "r" => PyRepr.Repr(value, budget),
                _ => throw new TemplateError($"format(): the conversion '!{conversion}' is not supported"),
            };
            budget.Text((long)writer.Length + text.Length);
            writer.Append(text);
        }

        return writer.ToString();
    }

    private static object? Find(string name, Arguments arguments, ref int next)
    {
        if (name.AsSpan().IndexOfAny(":.[") >= 0)
        {
            throw new TemplateError($"format(): the place '{{{name}}}' is not supported; use |round, % or the value's own parts");
        }

        if (name.Length == 0 || int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out _))
        {
            var index = name.Length == 0 ? next++ : int.Parse(name, CultureInfo.InvariantCulture);
            return index < arguments.Positional.Count
                ? arguments.Positional[index]
                : throw new TemplateError($"Replacement index {index} out of range for positional args tuple");
        }

        return arguments.Named.TryGetValue(name, out var value) ? value : throw new TemplateError(PyRepr.Quote(name));
    }
}

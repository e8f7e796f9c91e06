using System.Globalization;
using System.Text;

namespace LrtMesh.Core.Models.Chat.Jinja;

/// <summary>A time as text, as C's strftime writes it in the C locale.</summary>
internal static class Strftime
{
    /// <summary>Writes a time.</summary>
    public static string Write(DateTimeOffset time, string format, Budget budget)
    {
        budget.Text(format.Length * 24L);
        var writer = new StringBuilder();
        for (var at = 0; at < format.Length; at++)
        {
            if (format[at] != '%' || at + 1 == format.Length)
            {
                writer.Append(format[at]);
                continue;
            }

            var padded = format[++at] != '-' || at + 1 == format.Length;
            at += padded ? 0 : 1;
            writer.Append(Part(time, format[at], padded));
        }

        return writer.ToString();
    }

    private static string Part(DateTimeOffset time, char letter, bool padded)
    {
        string Text(string format) => time.ToString(format, CultureInfo.InvariantCulture);
        string Number(int number, int digits) => number.ToString(padded ? $"D{digits}" : "D", CultureInfo.InvariantCulture);
        return letter switch
        {
            'a' => Text("ddd"),
            'A' => Text("dddd"),
            'b' or 'h' => Text("MMM"),
            'B' => Text("MMMM"),
            'c' => Text("ddd MMM ") + time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2) + Text(" HH:mm:ss yyyy"),
            'd' => Number(time.Day, 2),
            'D' or 'x' => Text("MM'/'dd'/'yy"),
            'e' => padded ? time.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2) : Number(time.Day, 1),
            'f' => Text("ffffff"),
            'F' => Text("yyyy-MM-dd"),
            'H' => Number(time.Hour, 2),
            'I' => Number(((time.Hour + 11) % 12) + 1, 2),
            'j' => Number(time.DayOfYear, 3),
            'm' => Number(time.Month, 2),
            'M' => Number(time.Minute, 2),
            'n' => "\n",
            'p' => time.Hour < 12 ? "AM" : "PM",
            'R' => Text("HH':'mm"),
            's' => time.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture),
            'S' => Number(time.Second, 2),
            't' => "\t",
            'T' or 'X' => Text("HH':'mm':'ss"),
            'u' => Number(((int)time.DayOfWeek + 6) % 7 + 1, 1),
            'w' => Number((int)time.DayOfWeek, 1),
            'y' => Number(time.Year % 100, 2),
            'Y' => time.Year.ToString(CultureInfo.InvariantCulture),
            'z' or 'Z' => "", // now() of Python, which templates print, has no zone
            '%' => "%",
            _ => $"%{letter}",
        };
    }
}

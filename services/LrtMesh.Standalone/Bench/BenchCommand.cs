using System.CommandLine;
using System.Globalization;
using System.Text.Json;

namespace LrtMesh.Standalone.Bench;

/// <summary>`bench`: how fast the parts that decide are, each beside what it is measured against, in one run.</summary>
internal static class BenchCommand
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, WriteIndented = true };

    public static Command Create() => new("bench", "Measure speed on this machine; nothing else should run meanwhile.")
    {
        DecodeBench.Create(),
        FitBench.Create(),
        LoadBench.Create(),
        TokenizeBench.Create(),
    };

    /// <summary>The option for the file that programs read.</summary>
    public static Option<FileInfo?> JsonOption() => new("--json") { Description = "File to write the same figures to, as JSON." };

    /// <summary>Writes a result, its names in snake_case; nothing if no file was asked for.</summary>
    public static void Write<T>(FileInfo? file, T result)
    {
        if (file is not null)
        {
            File.WriteAllText(file.FullName, JsonSerializer.Serialize(result, Json) + "\n");
        }
    }

    /// <summary>The middle value, or the mean of the two in the middle.</summary>
    public static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>The median and its interval.</summary>
    public static string Shown(double[] values, string format)
    {
        var interval = Interval(values);
        string Text(double value) => value.ToString(format, CultureInfo.InvariantCulture);
        return $"{Text(Median(values))} ({Text(interval[0])} to {Text(interval[1])})";
    }

    /// <summary>Order statistics between which the median lies with 95%; the extremes where there are fewer than 6 values.</summary>
    public static double[] Interval(double[] values)
    {
        var sorted = values.Order().ToArray();
        var outside = Math.Max(0, (int)Math.Floor((sorted.Length - (1.96 * Math.Sqrt(sorted.Length)) - 1) / 2));
        return [sorted[outside], sorted[^(outside + 1)]];
    }

    /// <summary>Refuses a smaller value.</summary>
    public static void AtLeast(Option<int> option, int least) => option.Validators.Add(result =>
    {
        if (result.GetValueOrDefault<int>() < least)
        {
            result.AddError($"{option.Name} must be at least {least}.");
        }
    });
}

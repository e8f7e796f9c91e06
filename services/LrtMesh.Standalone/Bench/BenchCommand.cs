using System.CommandLine;
using System.Diagnostics;
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
        ExtractBench.Create(),
        FitBench.Create(),
        LatencyBench.Create(),
        LoadBench.Create(),
        MixedBench.Create(),
        ServeBench.Create(),
        StreamBench.Create(),
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

    /// <summary>Times each of some arms once a round, in an order that turns from round to round, after one run that is not counted.</summary>
    /// <returns>Seconds of each arm, one a round.</returns>
    public static async Task<double[][]> TurnsAsync(Func<Task>[] arms, int rounds, CancellationToken cancellation)
    {
        var seconds = Array.ConvertAll(arms, _ => new double[rounds]);
        for (var round = -1; round < rounds; round++)
        {
            for (var i = 0; i < arms.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                var arm = (i + round + 1) % arms.Length;
                var start = Stopwatch.GetTimestamp();
                await arms[arm]();
                if (round >= 0)
                {
                    seconds[arm][round] = Stopwatch.GetElapsedTime(start).TotalSeconds;
                }
            }
        }

        return seconds;
    }

    /// <summary>The value below which a share of the values lies, by the nearest rank.</summary>
    public static double Quantile(IReadOnlyList<double> sorted, double share) => sorted[Math.Clamp((int)Math.Ceiling(share * sorted.Count) - 1, 0, sorted.Count - 1)];

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

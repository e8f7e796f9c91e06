using System.CommandLine;
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
}

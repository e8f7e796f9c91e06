using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using Spectre.Console;

namespace LrtMesh.Standalone.Bench;

/// <summary>`bench load`: how long a checkpoint takes to load beside reading its files once, and the memory that loading takes at most.</summary>
/// <remarks>
/// Memory is that of the first load, in a process that has loaded nothing: the peak of what is resident above what was before, beside the bytes of the
/// weights. Then reading and loading alternate, with the files in the system's cache.
/// </remarks>
internal static class LoadBench
{
    private const int ReadBytes = 4 << 20;

    public static Command Create()
    {
        var json = BenchCommand.JsonOption();
        var model = new Argument<string>("MODEL_DIR") { Description = "The checkpoint: a folder with config.json and safetensors files, or the name of a model in the Hugging Face cache." };
        var dtype = new Option<ComputeDtype>("--dtype")
        {
            Description = "float32, bfloat16, int8, or auto.", HelpName = "TYPE", DefaultValueFactory = _ => ComputeDtype.Auto,
        };
        var rounds = new Option<int>("--rounds") { Description = "Rounds, of which the median counts.", DefaultValueFactory = _ => 7 };
        var command = new Command("load", "Time and memory of loading a checkpoint, beside reading its files once.") { model, dtype, rounds, json };
        BenchCommand.AtLeast(rounds, 1);
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Run(ModelFolder.Find(parsed.GetValue(model)!), parsed.GetValue(dtype), parsed.GetValue(rounds), parsed.GetValue(json), cancellation), cancellation));
        return command;
    }

    private static int Run(string folder, ComputeDtype wish, int rounds, FileInfo? json, CancellationToken cancellation)
    {
        NativeTorch.EnsureLoaded();
        var choice = DtypeChoice.Make(wish, folder, TorchSharp.torch.CPU);
        var (_, weights, peak) = Load(folder, choice);
        var reads = new double[rounds];
        var loads = new double[rounds];
        var bytes = 0L;
        for (var round = 0; round < rounds; round++)
        {
            cancellation.ThrowIfCancellationRequested();
            (reads[round], bytes) = ReadFiles(folder);
            loads[round] = Load(folder, choice).Seconds;
        }

        var ratios = loads.Zip(reads, (load, read) => load / read).ToArray();
        var result = new LoadResult(
            choice.Weights.ToString().ToLowerInvariant(), bytes, weights, BenchCommand.Median(reads), BenchCommand.Median(loads), BenchCommand.Median(ratios),
            BenchCommand.Interval(ratios), peak, (double)peak / weights);
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{result.Dtype} ({choice.Reason})");
        AnsiConsole.MarkupLineInterpolated(
            CultureInfo.InvariantCulture,
            $"reading {bytes / 1e6:F0} MB {result.ReadSeconds:F3} s, loading {result.LoadSeconds:F3} s: {BenchCommand.Shown(ratios, "F2")} times the reading");
        AnsiConsole.MarkupLineInterpolated(
            CultureInfo.InvariantCulture, $"peak memory {peak / 1e6:F0} MB for {weights / 1e6:F0} MB of weights: {result.PeakRatio:F2} times them");
        BenchCommand.Write(json, result);
        return 0;
    }

    private static (double Seconds, long WeightBytes, long PeakBytes) Load(string folder, DtypeChoice choice)
    {
        File.WriteAllText("/proc/self/clear_refs", "5"); // sets the peak to what is resident now
        var before = Status("VmRSS");
        var start = Stopwatch.GetTimestamp();
        using var decoder = Checkpoint.Load(folder, choice.Weights);
        return (
            Stopwatch.GetElapsedTime(start).TotalSeconds, decoder.Weights.All.Sum(tensor => tensor.numel() * tensor.element_size()), Status("VmHWM") - before);
    }

    private static (double Seconds, long Bytes) ReadFiles(string folder)
    {
        var buffer = new byte[ReadBytes];
        var bytes = 0L;
        var start = Stopwatch.GetTimestamp();
        foreach (var path in Directory.EnumerateFiles(folder, "*.safetensors"))
        {
            using var file = File.OpenRead(path);
            for (int read; (read = file.Read(buffer)) > 0;)
            {
                bytes += read;
            }
        }

        return (Stopwatch.GetElapsedTime(start).TotalSeconds, bytes);
    }

    /// <summary>A line of this process's status, in bytes.</summary>
    private static long Status(string key) => 1024 * long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith(key + ":", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1],
        CultureInfo.InvariantCulture);

    private sealed record LoadResult(
        string Dtype, long FileBytes, long WeightBytes, double ReadSeconds, double LoadSeconds, double Ratio, double[] Interval, long PeakBytes, double PeakRatio);
}

using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Standalone;

/// <summary>`models random`: makes a checkpoint of random weights, to measure with.</summary>
internal static class RandomModelCommand
{
    private static readonly Dictionary<string, ScalarType> Types = new()
    {
        ["bfloat16"] = ScalarType.BFloat16,
        ["float16"] = ScalarType.Float16,
        ["float32"] = ScalarType.Float32,
    };

    public static Command Create()
    {
        var config = new Option<FileInfo>("--config") { Description = "The config.json that says what model.", Required = true };
        var folder = new Option<DirectoryInfo>("--out") { Description = "Folder to write to; it must hold no weights yet.", Required = true };
        var seed = new Option<ulong>("--seed") { Description = "Seed of the weights.", DefaultValueFactory = _ => 0 };
        var dtype = new Option<string>("--dtype") { Description = "Type to store.", DefaultValueFactory = _ => "bfloat16" };
        dtype.AcceptOnlyFromAmong([.. Types.Keys]);
        var random = new Command("random", "Make a checkpoint of random weights from a config.json, of any family that can be loaded; in shards where it is over 5 GB.")
        {
            config, folder, seed, dtype,
        };
        random.SetAction((parsed, cancellation) => Task.Run(
            () => Make(parsed.GetValue(config)!.FullName, parsed.GetValue(folder)!.FullName, Types[parsed.GetValue(dtype)!], parsed.GetValue(seed), cancellation),
            cancellation));
        return new Command("models", "Checkpoints on this machine.") { random };
    }

    private static int Make(string config, string folder, ScalarType dtype, ulong seed, CancellationToken cancellation)
    {
        NativeTorch.EnsureLoaded();
        var clock = Stopwatch.StartNew();
        var summary = RandomCheckpoint.Write(config, folder, dtype, seed, new ProgressLines(), cancellation: cancellation);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{folder}: {summary.Parameters:N0} parameters in {dtype.ToString().ToLowerInvariant()}, {summary.Bytes / 1e6:N1} MB in {summary.Files.Count} file(s), {clock.Elapsed.TotalSeconds:F1} s"));
        return 0;
    }

    /// <summary>A line every five seconds, on the writing thread itself.</summary>
    private sealed class ProgressLines : IProgress<(long Done, long Of)>
    {
        private static readonly TimeSpan Pause = TimeSpan.FromSeconds(5);

        private readonly Stopwatch _sinceLine = Stopwatch.StartNew();

        public void Report((long Done, long Of) value)
        {
            if (_sinceLine.Elapsed >= Pause)
            {
                _sinceLine.Restart();
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{value.Done / 1e9:F1} of {value.Of / 1e9:F1} GB"));
            }
        }
    }
}

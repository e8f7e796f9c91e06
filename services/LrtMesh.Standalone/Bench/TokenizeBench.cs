using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using LrtMesh.Core;
using LrtMesh.Core.Models.Tokenizers;
using Spectre.Console;

namespace LrtMesh.Standalone.Bench;

/// <summary>`bench tokenize`: megabytes of text a second that a tokenizer splits on one thread, and that it joins again from ids.</summary>
/// <remarks>
/// The text is split anew in each round by a tokenizer that is loaded anew, which remembers no words; beside it the same one splits the text again.
/// </remarks>
internal static class TokenizeBench
{
    public static Command Create()
    {
        var json = BenchCommand.JsonOption();
        var folder = new Argument<DirectoryInfo>("DIR") { Description = "The tokenizer's folder." };
        var text = new Option<FileInfo>("--text") { Description = "UTF-8 text to split; at least a megabyte gives steady figures.", Required = true };
        var rounds = new Option<int>("--rounds") { Description = "Rounds, of which the median counts.", DefaultValueFactory = _ => 5 };
        var command = new Command("tokenize", "Megabytes of text a second and thread that a tokenizer splits.") { folder, text, rounds, json };
        BenchCommand.AtLeast(rounds, 1);
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Run(parsed.GetValue(folder)!.FullName, parsed.GetValue(text)!.FullName, parsed.GetValue(rounds), parsed.GetValue(json), cancellation), cancellation));
        return command;
    }

    private static int Run(string folder, string path, int rounds, FileInfo? json, CancellationToken cancellation)
    {
        if (!File.Exists(path))
        {
            throw LrtMeshException.NotFound("--text", $"there is no file '{path}'");
        }

        var text = File.ReadAllText(path);
        var megabytes = Encoding.UTF8.GetByteCount(text) / 1e6;
        var (cold, warm, decode) = (new double[rounds], new double[rounds], new double[rounds]);
        var tokens = 0;
        for (var round = 0; round < rounds; round++)
        {
            cancellation.ThrowIfCancellationRequested();
            var tokenizer = Tokenizer.Load(folder);
            cold[round] = Rate(() => tokens = tokenizer.Encode(text, addSpecialTokens: false).Count);
            int[] ids = [];
            warm[round] = Rate(() => ids = [.. tokenizer.Encode(text, addSpecialTokens: false).Select(token => token.Id)]);
            decode[round] = Rate(() => tokenizer.Decode(ids));
        }

        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{megabytes:F2} MB, {tokens} tokens, MB/s on one thread, medians of {rounds}");
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"encode {BenchCommand.Shown(cold, "F2")}, again {BenchCommand.Shown(warm, "F2")}, decode {BenchCommand.Shown(decode, "F2")}");
        BenchCommand.Write(json, new TokenizeResult(megabytes, tokens, BenchCommand.Median(cold), BenchCommand.Median(warm), BenchCommand.Median(decode)));
        return 0;

        double Rate(Action work)
        {
            var start = Stopwatch.GetTimestamp();
            work();
            return megabytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
        }
    }

    private sealed record TokenizeResult(double Megabytes, int Tokens, double EncodeMegabytesPerSecond, double AgainMegabytesPerSecond, double DecodeMegabytesPerSecond);
}

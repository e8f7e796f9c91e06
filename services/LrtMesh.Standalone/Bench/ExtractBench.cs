using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using LrtMesh.Client;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Extraction;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Standalone.Bench;

/// <summary>`bench extract`: hidden states of a middle layer through gRPC, beside the forward pass alone, and the pass that ends there beside the whole one.</summary>
/// <remarks>
/// A round runs each arm once, in an order that turns. The forward pass alone is that of the same loaded model, on its thread, of the same texts split
/// beforehand; through gRPC texts are also split into tokens, rows copied, checksummed, sent over loopback, checked and put together by a client in this
/// process, on the same cores.
/// </remarks>
internal static class ExtractBench
{
    private const string Name = "model";
    private const int BatchTexts = 64; // of one message

    public static Command Create()
    {
        var json = BenchCommand.JsonOption();
        var model = new BenchModel.Options("small");
        var texts = new Option<int>("--texts") { Description = "Texts of a round.", DefaultValueFactory = _ => 512 };
        var rounds = new Option<int>("--rounds") { Description = "Rounds, of which the median counts.", DefaultValueFactory = _ => 7 };
        var command = new Command("extract", "Tokens a second of hidden states through gRPC, beside the forward pass alone.") { texts, rounds, json };
        model.AddTo(command);
        BenchCommand.AtLeast(texts, 1);
        BenchCommand.AtLeast(rounds, 1);
        command.SetAction(async (parsed, cancellation) =>
        {
            using var taken = model.Take(parsed);
            return await RunAsync(taken, parsed.GetValue(texts), parsed.GetValue(rounds), parsed.GetValue(json), cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(BenchModel model, int count, int rounds, FileInfo? json, CancellationToken cancellation)
    {
        await using var mesh = await BenchMesh.StartAsync(new() { DataFolder = "", ExtractionModels = [model.As(Name)], GenerationModels = [], Dtype = model.Dtype }, cancellation);
        var loaded = mesh.Roles.Extraction!.Service<ModelRegistry>().Find(Name, "model");
        var texts = Texts(count);
        var sequences = texts.Select(text => (IReadOnlyList<int>)[.. loaded.Tokenizer.Encode(text, addSpecialTokens: true).Take((int)loaded.Description.Context).Select(token => token.Id)]).ToArray();
        var tokens = sequences.Sum(sequence => sequence.Count);
        var (middle, last) = ((int)loaded.Description.Layers / 2 - 1, (int)loaded.Description.Layers - 1);
        using var channel = MeshChannel.Open(mesh.Roles.Extraction.Address.GetLeftPart(UriPartial.Authority));
        var client = new ExtractionService.ExtractionServiceClient(channel);
        Func<Task>[] arms =
        [
            () => loaded.ReadStatesAsync(sequences, [middle], (_, _, _) => { }, cancellation),
            () => loaded.ReadStatesAsync(sequences, [last], (_, _, _) => { }, cancellation),
            async () =>
            {
                if (await ReadAsync(client, texts, (uint)middle, cancellation) is var rows && rows != tokens)
                {
                    throw new LrtMeshException(ErrorReason.DataLoss, $"{rows} rows came for {tokens} tokens");
                }
            },
        ];
        var seconds = await BenchCommand.TurnsAsync(arms, rounds, cancellation);
        double[] Ratios(int over, int under) => [.. seconds[over].Zip(seconds[under], (above, below) => above / below)];
        var (through, early) = (Ratios(0, 2), Ratios(1, 0));
        double[] rates = [.. seconds[2].Select(took => tokens / took)];
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{loaded.Description.Family} of {loaded.Description.Parameters / 1e6:F1}M parameters, {loaded.Description.WeightDtype} ({loaded.Description.DtypeReason}); {count} texts of {tokens} tokens, layer {middle} of {last + 1}");
        AnsiConsole.WriteLine($"through gRPC: {BenchCommand.Shown(rates, "F0")} tok/s, {BenchCommand.Shown(through, "F2")} of the forward pass alone");
        AnsiConsole.WriteLine($"the pass that ends at layer {middle}: {BenchCommand.Shown(early, "F2")} times as fast as the whole");
        BenchCommand.Write(json, new
        {
            Model = $"{loaded.Description.Family} {loaded.Description.Parameters / 1e6:F1}M", Dtype = $"{loaded.Description.WeightDtype}", Texts = count, Tokens = tokens, Layer = middle, Rounds = rounds,
            TokensPerSecond = BenchCommand.Median(rates), GrpcToForward = BenchCommand.Median(through), GrpcToForwardInterval = BenchCommand.Interval(through),
            EarlyExit = BenchCommand.Median(early), EarlyExitInterval = BenchCommand.Interval(early),
        });
        return 0;
    }

    /// <summary>Reads hidden states as a client does that checks what comes; the number of rows.</summary>
    private static async Task<int> ReadAsync(ExtractionService.ExtractionServiceClient client, string[] texts, uint layer, CancellationToken cancellation)
    {
        var spec = new ExtractionSpec { Model = Name, Layers = { layer }, AddSpecialTokens = true };
        var rows = 0;
        await foreach (var block in client.ReadHiddenStatesAsync(spec, texts.Chunk(BatchTexts).Select(batch => new TextBatch { Texts = { batch } }), cancellation: cancellation))
        {
            rows += block.Labels.Sequence.Count;
            block.Dispose();
        }

        return rows;
    }

    /// <summary>Texts that ship with the family.</summary>
    private static string[] Texts(int count)
    {
        var lines = File.ReadLines(Path.Combine(UpCommand.Home, "models", "tiny", "text", "map-behaviour-free.jsonl")).Take(count).ToArray();
        return [.. lines.Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!)];
    }
}

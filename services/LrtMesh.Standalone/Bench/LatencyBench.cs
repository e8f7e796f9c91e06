using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Core.Tensors;
using LrtMesh.Extraction;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Standalone.Bench;

/// <summary>`bench latency`: time to the first token and between tokens as many clients see them over gRPC, each steering by a vector of its own.</summary>
/// <remarks>
/// Clients and server share this process and its cores. A client sends one request after the other, of a length drawn from its own seed, greedily.
/// Afterwards some of the requests are sent again, one at a time: a sequence that was mixed up with another, or steered by its vector, has another answer
/// alone. A batch rounds otherwise than a single sequence, so that close scores may fall the other way: the share of equal answers is told, and of
/// equal tokens before the first that differs.
/// </remarks>
internal static class LatencyBench
{
    private const string Name = "model";
    private const int LeastPrompt = 8;
    private const int MostPrompt = 48;
    private const int LeastTokens = 16;
    private const int MostTokens = 48;

    public static Command Create()
    {
        var json = BenchCommand.JsonOption();
        var model = new BenchModel.Options("large");
        var clients = new Option<int>("--clients") { Description = "Clients at once.", DefaultValueFactory = _ => 64 };
        var requests = new Option<int>("--requests") { Description = "Requests that each client sends, one after the other.", DefaultValueFactory = _ => 10 };
        var command = new Command("latency", "Time to the first token and between tokens, with many clients at once.") { clients, requests, json };
        model.AddTo(command);
        BenchCommand.AtLeast(clients, 1);
        BenchCommand.AtLeast(requests, 1);
        command.SetAction(async (parsed, cancellation) =>
        {
            using var taken = model.Take(parsed);
            return await RunAsync(taken, parsed.GetValue(clients), parsed.GetValue(requests), parsed.GetValue(json), cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(BenchModel model, int clients, int requests, FileInfo? json, CancellationToken cancellation)
    {
        await using var mesh = await BenchMesh.StartAsync(new() { DataFolder = "", ExtractionModels = [], GenerationModels = [model.As(Name)], Dtype = model.Dtype }, cancellation);
        var description = mesh.Roles.Generation!.Service<ModelRegistry>().Find(Name, "model").Description;
        using var channel = GrpcChannel.ForAddress(mesh.Roles.Generation.Address);
        var client = new GenerationService.GenerationServiceClient(channel);
        await Task.WhenAll(Enumerable.Range(0, clients).Select(i => AskAsync(client, Request(description, -1 - i), cancellation))); // kernels are chosen and memory is taken

        var start = Stopwatch.GetTimestamp();
        var answers = await Task.WhenAll(Enumerable.Range(0, clients).Select(async i =>
        {
            var own = new List<Answer>();
            for (var round = 0; round < requests; round++)
            {
                own.Add(await AskAsync(client, Request(description, (i * requests) + round), cancellation));
            }

            return own;
        }));
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var all = answers.SelectMany(own => own).ToArray();

        var again = answers.Select(own => own[0]).ToArray();
        var (equal, same, compared) = (0, 0, 0);
        for (var i = 0; i < again.Length; i++)
        {
            var alone = await AskAsync(client, Request(description, i * requests), cancellation);
            equal += alone.Ids.SequenceEqual(again[i].Ids) ? 1 : 0;
            same += alone.Ids.Zip(again[i].Ids).TakeWhile(pair => pair.First == pair.Second).Count();
            compared += alone.Ids.Count;
        }

        double[] first = [.. all.Select(answer => answer.First).Order()];
        double[] steps = [.. all.SelectMany(answer => answer.Between).Order()];
        var incomplete = all.Count(answer => !answer.IsComplete);
        var (p50, p99) = (BenchCommand.Quantile(steps, 0.5), BenchCommand.Quantile(steps, 0.99));
        AnsiConsole.MarkupLineInterpolated(CultureInfo.InvariantCulture, $"{description.Family} of {description.Parameters / 1e6:F1}M parameters, {description.WeightDtype} ({description.DtypeReason}); {clients} clients, {all.Length} requests");
        var table = new Table().Border(TableBorder.Simple).AddColumns("milliseconds", "p50", "p99", "longest");
        table.AddRow("to the first token", Shown(BenchCommand.Quantile(first, 0.5)), Shown(BenchCommand.Quantile(first, 0.99)), Shown(first[^1]));
        table.AddRow("between tokens", Shown(p50), Shown(p99), Shown(steps[^1]));
        AnsiConsole.Write(table);
        AnsiConsole.MarkupLineInterpolated(
            CultureInfo.InvariantCulture,
            $"between tokens p99 is {p99 / p50:F2} times p50; {all.Sum(answer => answer.Ids.Count) / seconds:F0} tokens and {all.Length / seconds:F1} requests a second; {incomplete} incomplete answers; {equal} of {again.Length} answers are the same alone, {100.0 * same / compared:F1}% of their tokens before one differs");
        BenchCommand.Write(json, new
        {
            Model = $"{description.Family} {description.Parameters / 1e6:F1}M", Dtype = $"{description.WeightDtype}", Clients = clients, Requests = all.Length, Incomplete = incomplete,
            FirstTokenP50 = BenchCommand.Quantile(first, 0.5), FirstTokenP99 = BenchCommand.Quantile(first, 0.99), StepP50 = p50, StepP99 = p99, StepRatio = p99 / p50,
            TokensPerSecond = all.Sum(answer => answer.Ids.Count) / seconds, RequestsPerSecond = all.Length / seconds, SameAlone = (double)equal / again.Length, SameTokens = (double)same / compared,
        });
        return incomplete == 0 ? 0 : 1;

        static string Shown(double value) => (value * 1000).ToString("F1", CultureInfo.InvariantCulture);
    }

    /// <summary>A request that is the same for the same seed: its prompt, length and vector.</summary>
    private static GenerateRequest Request(Model model, int seed)
    {
        var random = new Random(seed);
        var prompt = Enumerable.Range(0, random.Next(LeastPrompt, MostPrompt + 1)).Select(_ => (uint)random.Next((int)model.Vocabulary)).ToArray();
        var vector = Enumerable.Range(0, (int)model.Width).Select(_ => (float)(random.NextDouble() - 0.5)).ToArray();
        return new GenerateRequest
        {
            Model = model.Name,
            PromptIds = new TokenIds { Ids = { prompt } },
            Sampling = new Sampling { Temperature = 0 },
            Stopping = new Stopping { MaxTokens = (uint)random.Next(LeastTokens, MostTokens + 1), IgnoreEos = true },
            Steering =
            {
                new V1.Steering { Given = TensorCodec.Encode(vector, vector.Length), Layer = model.Layers / 2, Operator = SteeringOperator.Add, Coefficient = 1, Unit = CoefficientUnit.UnitVector },
            },
        };
    }

    private static async Task<Answer> AskAsync(GenerationService.GenerationServiceClient client, GenerateRequest request, CancellationToken cancellation)
    {
        var (ids, between, steered) = (new List<uint>(), new List<double>(), false);
        var (last, first) = (Stopwatch.GetTimestamp(), 0.0);
        using var call = client.Generate(request, cancellationToken: cancellation);
        while (await call.ResponseStream.MoveNext(cancellation))
        {
            var response = call.ResponseStream.Current;
            if (response.PartCase == GenerateResponse.PartOneofCase.Text && response.Text.TokenIds.Count > 0)
            {
                var took = Stopwatch.GetElapsedTime(last).TotalSeconds;
                last = Stopwatch.GetTimestamp();
                if (ids.Count == 0)
                {
                    first = took;
                }
                else
                {
                    between.AddRange(Enumerable.Repeat(took / response.Text.TokenIds.Count, response.Text.TokenIds.Count));
                }

                ids.AddRange(response.Text.TokenIds);
            }
            else if (response.PartCase == GenerateResponse.PartOneofCase.Finished)
            {
                // The last token is generated and read by nobody, so it is not steered.
                steered = response.Finished.Steering[0].Positions == request.PromptIds.Ids.Count + request.Stopping.MaxTokens - 1;
            }
        }

        return new(ids, first, between, steered && ids.Count == request.Stopping.MaxTokens);
    }

    /// <param name="Ids">The tokens.</param>
    /// <param name="First">Seconds to the first.</param>
    /// <param name="Between">Seconds from each to the next.</param>
    /// <param name="IsComplete">Whether all came, and all were steered.</param>
    private sealed record Answer(List<uint> Ids, double First, List<double> Between, bool IsComplete);
}

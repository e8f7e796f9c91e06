using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Grpc.Net.Client;
using LrtMesh.Core.Tensors;
using LrtMesh.Extraction;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Standalone.Bench;

/// <summary>`bench serve`: requests a second that many clients at once get from ApplyMap, Generate and ExtractHiddenStates, how long each takes, what of the processor, and the memory over time.</summary>
/// <remarks>
/// Clients and roles share this process and its cores: memory and time of the processor are those of both. Each client sends one request after the other, without a pause. The arms run one after the other.
/// </remarks>
internal static class ServeBench
{
    private const string Name = "model";
    private const string Map = "map";
    private const int Rows = 16; // of a request to map
    private const int Tokens = 32; // of an answer
    private const int Warmup = 5; // seconds, not counted
    private const int Samples = 10; // of memory

    public static Command Create()
    {
        var json = BenchCommand.JsonOption();
        var clients = new Option<int>("--clients") { Description = "Clients at once.", DefaultValueFactory = _ => 64 };
        var seconds = new Option<int>("--seconds") { Description = "Seconds for each kind of request.", DefaultValueFactory = _ => 60 };
        var model = new BenchModel.Options("large");
        var command = new Command("serve", "Requests a second, their times and the memory over it, with many clients at once.") { clients, seconds, json };
        model.AddTo(command);
        BenchCommand.AtLeast(clients, 1);
        BenchCommand.AtLeast(seconds, 1);
        command.SetAction(async (parsed, cancellation) =>
        {
            using var taken = model.Take(parsed);
            return await RunAsync(taken, parsed.GetValue(clients), parsed.GetValue(seconds), parsed.GetValue(json), cancellation);
        });
        return command;
    }

    private static async Task<int> RunAsync(BenchModel model, int clients, int seconds, FileInfo? json, CancellationToken cancellation)
    {
        await using var mesh = await BenchMesh.StartAsync(new() { DataFolder = "", ExtractionModels = [model.As(Name)], GenerationModels = [model.As(Name)], Dtype = model.Dtype }, cancellation);
        var description = mesh.Roles.Generation!.Service<ModelRegistry>().Find(Name, "model").Description;
        var width = (int)description.Width;
        using var extraction = GrpcChannel.ForAddress(mesh.Roles.Extraction!.Address);
        using var mapping = GrpcChannel.ForAddress(mesh.Roles.Mapping!.Address);
        using var generation = GrpcChannel.ForAddress(mesh.Roles.Generation.Address);
        var (maps, texts, states) = (new MappingService.MappingServiceClient(mapping), new GenerationService.GenerationServiceClient(generation), new ExtractionService.ExtractionServiceClient(extraction));
        await ImportAsync(maps, width, cancellation);
        var rows = new float[Rows * width];
        rows.AsSpan().Fill(0.5f);
        (string Name, Func<Task> Ask)[] arms =
        [
            ("ApplyMap", async () => await maps.ApplyMapAsync(new() { Map = Map, Rows = TensorCodec.Encode(rows, Rows, width) }, cancellationToken: cancellation)),
            ("Generate", () => GenerateAsync(texts, cancellation)),
            ("ExtractHiddenStates", () => ExtractAsync(states, description.Layers / 2, cancellation)),
        ];
        var figures = new List<Figures>();
        foreach (var (name, ask) in arms)
        {
            await LoadAsync(clients, Warmup, ask);
            figures.Add(await LoadAsync(clients, seconds, ask) with { Request = name });
        }

        AnsiConsole.MarkupLineInterpolated(
            CultureInfo.InvariantCulture,
            $"{description.Family} of {description.Parameters / 1e6:F1}M parameters, {description.WeightDtype}; {clients} clients, {seconds} s each; ApplyMap of {Rows} rows of {width}, Generate of {Tokens} tokens, ExtractHiddenStates of one text at one layer");
        var table = new Table().Border(TableBorder.Simple).AddColumns("request", "a second", "p50 ms", "p99 ms", "longest ms", "processor ms", "memory at first, at last, at most, MB");
        foreach (var arm in figures)
        {
            table.AddRow(
                arm.Request, Shown(arm.PerSecond, "F0"), Shown(arm.P50 * 1000, "F1"), Shown(arm.P99 * 1000, "F1"), Shown(arm.Longest * 1000, "F0"), Shown(arm.Processor * 1000, "F2"), string.Join(", ", new[] { arm.Memory[0], arm.Memory[^1], arm.Memory.Max() }.Select(bytes => Shown(bytes / 1e6, "F0"))));
        }

        AnsiConsole.Write(table);
        BenchCommand.Write(json, new
        {
            Model = $"{description.Family} {description.Parameters / 1e6:F1}M", Dtype = $"{description.WeightDtype}", Clients = clients, Seconds = seconds, Requests = figures,
        });
        return 0;

        static string Shown(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
    }

    /// <summary>Lets clients ask for a time.</summary>
    private static async Task<Figures> LoadAsync(int clients, int seconds, Func<Task> ask)
    {
        var (clock, memory, used) = (Stopwatch.StartNew(), new List<long>(), Environment.CpuUsage.TotalTime);
        var length = TimeSpan.FromSeconds(seconds);
        var asking = Enumerable.Range(0, clients).Select(_ => Task.Run(async () =>
        {
            var own = new List<double>();
            while (clock.Elapsed < length)
            {
                var start = Stopwatch.GetTimestamp();
                await ask();
                own.Add(Stopwatch.GetElapsedTime(start).TotalSeconds);
            }

            return own;
        })).ToArray();
        for (var sample = 1; sample <= Samples; sample++)
        {
            var wait = (length * sample / Samples) - clock.Elapsed;
            await Task.Delay(wait > TimeSpan.Zero ? wait : TimeSpan.Zero);
            memory.Add(Environment.WorkingSet);
        }

        double[] took = [.. (await Task.WhenAll(asking)).SelectMany(own => own).Order()];
        return new("", took.Length / clock.Elapsed.TotalSeconds, BenchCommand.Quantile(took, 0.5), BenchCommand.Quantile(took, 0.99), took[^1], (Environment.CpuUsage.TotalTime - used).TotalSeconds / took.Length, memory);
    }

    private static async Task GenerateAsync(GenerationService.GenerationServiceClient client, CancellationToken cancellation)
    {
        var request = new GenerateRequest
        {
            Model = Name, Prompt = "Once upon a time there was a cat", Sampling = new Sampling { Temperature = 0 }, Stopping = new Stopping { MaxTokens = Tokens, IgnoreEos = true },
        };
        using var call = client.Generate(request, cancellationToken: cancellation);
        while (await call.ResponseStream.MoveNext(cancellation))
        {
            // To its end.
        }
    }

    private static async Task ExtractAsync(ExtractionService.ExtractionServiceClient client, uint layer, CancellationToken cancellation)
    {
        using var call = client.ExtractHiddenStates(cancellationToken: cancellation);
        await call.RequestStream.WriteAsync(new() { Spec = new ExtractionSpec { Model = Name, Layers = { layer } } }, cancellation);
        await call.RequestStream.WriteAsync(new() { Batch = new TextBatch { Texts = { "Once upon a time there was a cat who lived in an old house by the sea." } } }, cancellation);
        await call.RequestStream.CompleteAsync();
        while (await call.ResponseStream.MoveNext(cancellation))
        {
            // To its end.
        }
    }

    /// <summary>Stores the map that changes nothing.</summary>
    private static async Task ImportAsync(MappingService.MappingServiceClient maps, int width, CancellationToken cancellation)
    {
        float[][] tensors = [new float[width * width], new float[width]]; // A, b
        for (var i = 0; i < width; i++)
        {
            tensors[0][(i * width) + i] = 1;
        }

        using var call = maps.ImportMap(cancellationToken: cancellation);
        var content = new MapContent
        {
            Map = new() { Name = Map, Source = new() { Model = Name }, Target = new() { Model = Name }, SourceWidth = (uint)width, TargetWidth = (uint)width },
            Tensors = { TensorCodec.Header(Dtype.Float32, width, width), TensorCodec.Header(Dtype.Float32, width) },
        };
        await call.RequestStream.WriteAsync(new() { Content = content }, cancellation);
        for (var i = 0; i < tensors.Length; i++)
        {
            foreach (var chunk in TensorChunks.Split(i, tensors[i]))
            {
                await call.RequestStream.WriteAsync(new() { Chunk = chunk }, cancellation);
            }
        }

        await call.RequestStream.CompleteAsync();
        await call.ResponseAsync;
    }

    /// <param name="Request">What was asked for.</param>
    /// <param name="PerSecond">Requests that were answered.</param>
    /// <param name="P50">Seconds.</param>
    /// <param name="P99">Seconds.</param>
    /// <param name="Longest">Seconds.</param>
    /// <param name="Processor">Seconds of a processor's time for each request, in all that this process does.</param>
    /// <param name="Memory">Bytes that the process held, at the ends of equal parts of the time.</param>
    private sealed record Figures(string Request, double PerSecond, double P50, double P99, double Longest, double Processor, IReadOnlyList<long> Memory);
}

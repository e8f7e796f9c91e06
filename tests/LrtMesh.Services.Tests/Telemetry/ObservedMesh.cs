using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Services.Tests.Access;
using LrtMesh.TestKit;
using LrtMesh.TestKit.Stores;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Telemetry;

/// <summary>
/// The three roles as their images run them, each a process with an ops port and a JSON log that sends to one collector, each in another way,
/// over a real redis-server; some work was done on them.
/// </summary>
public sealed partial class ObservedMesh : IAsyncLifetime
{
    public static readonly string[] Roles = ["extraction", "generation", "mapping"];

    /// <summary>How each sends to the collector.</summary>
    public static readonly IReadOnlyDictionary<string, string> Ways = new Dictionary<string, string>
    {
        ["extraction"] = OtlpReceiver.Grpc, ["generation"] = OtlpReceiver.Http, ["mapping"] = OtlpReceiver.GrpcOverTls,
    };

    private static readonly TimeSpan StartsWithin = TimeSpan.FromSeconds(90);
    private static readonly HttpClient Http = new();

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-observed-").FullName;
    private readonly RedisServerProcess _redis = new();
    private readonly List<Process> _processes = [];
    private readonly List<GrpcChannel> _channels = [];
    private readonly Dictionary<string, int> _ops = [];
    private TestAuthority? _authority;
    private OtlpReceiver? _collector;

    public string? Missing => _redis.Missing;

    /// <summary>What the roles wrote to their logs, by role.</summary>
    public IReadOnlyDictionary<string, ConcurrentQueue<string>> Logs { get; } = Roles.ToDictionary(role => role, _ => new ConcurrentQueue<string>());

    /// <summary>The trace that the test began each call in, by call.</summary>
    public Dictionary<string, string> Traces { get; } = [];

    /// <summary>The steered answer.</summary>
    public Answer Answer { get; private set; } = null!;

    /// <summary>The map job, ended.</summary>
    public MapJob Job { get; private set; } = null!;

    internal OtlpReceiver Collector => _collector!;

    public async ValueTask InitializeAsync()
    {
        if (Missing is not null)
        {
            return;
        }

        var tokenizer = Path.Combine(_folder, "tokenizer");
        TinyCheckpoint.WriteTokenizer(tokenizer);
        TinyCheckpoint.Write(Path.Combine(_folder, "source"), tokenizer, width: 16, layers: 3, seed: 1);
        TinyCheckpoint.Write(Path.Combine(_folder, "target"), tokenizer, width: 24, layers: 4, seed: 3);
        _authority = new TestAuthority(_folder);
        _collector = await OtlpReceiver.StartAsync(_authority.Issue("collector"));
        await _redis.StartAsync();
        var ports = Roles.ToDictionary(role => role, _ => FreePort());
        Start("extraction", ports, "--models", Path.Combine(_folder, "source"));
        Start("generation", ports, "--models", Path.Combine(_folder, "target"));
        Start("mapping", ports, "--endpoints", $"http://127.0.0.1:{ports["extraction"]},http://127.0.0.1:{ports["generation"]}");
        foreach (var role in Roles)
        {
            await ReadyAsync(role);
        }

        await WorkAsync(Open(ports["extraction"]), Open(ports["mapping"]), Open(ports["generation"]));
    }

    public async ValueTask DisposeAsync()
    {
        _channels.ForEach(channel => channel.Dispose());
        foreach (var process in _processes)
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }

        await _redis.DisposeAsync();
        if (_collector is not null)
        {
            await _collector.DisposeAsync();
        }

        _authority?.Dispose();

        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Every sample of a role, as the text format has it: name with labels, and value.</summary>
    public async Task<IReadOnlyList<(string Series, double Value)>> ScrapeAsync(string role)
    {
        var text = await Http.GetStringAsync(new Uri($"http://127.0.0.1:{_ops[role]}/metrics"));
        return [.. Sample().Matches(text).Select(sample => (sample.Groups[1].Value, double.Parse(sample.Groups[2].Value, CultureInfo.InvariantCulture)))];
    }

    /// <summary>Names of all metrics of a role, as its scrape declares them, but those of .NET itself.</summary>
    public async Task<IReadOnlySet<string>> MetricsAsync(string role)
    {
        var text = await Http.GetStringAsync(new Uri($"http://127.0.0.1:{_ops[role]}/metrics"));
        return Type().Matches(text).Select(type => type.Groups[1].Value).Where(name => !Foreign().IsMatch(name)).ToHashSet();
    }

    private async Task WorkAsync(GrpcChannel extraction, GrpcChannel mapping, GrpcChannel generation)
    {
        await new ExtractionService.ExtractionServiceClient(extraction).LearnVectorAsync(
            new() { Name = "v", Model = "source", Layers = { 1 }, Pairs = { TinyCheckpoint.Texts(6).Select(text => new ContrastPair { Positive = text + " rain", Negative = text + " tea" }) } });
        var maps = new MappingService.MappingServiceClient(mapping);
        var created = await maps.CreateMapJobAsync(
            new()
            {
                Map = "m",
                Source = new LayerRef { Model = "source", Layer = 1 },
                Target = new LayerRef { Model = "target", Layer = 2 },
                Documents = { TinyCheckpoint.Texts(60).Select(text => new Document { Text = text }) },
                Fit = new FitOptions { ShuffledControl = true },
            },
            TraceOf("job"));
        Job = await maps.EndedAsync(created.Job.Id, CancellationToken.None);
        await maps.TransferVectorAsync(new() { Vector = "v", Map = "m", Name = "w" });
        var texts = new GenerationService.GenerationServiceClient(generation);
        var request = new GenerateRequest
        {
            Model = "target",
            Prompt = "The cat and the dog",
            Steering = { new Steering { Vector = "v", Map = "m", Coefficient = 5 } },
            Stopping = new Stopping { MaxTokens = 8, IgnoreEos = true },
        };
        using (var call = texts.Generate(request, TraceOf("generate")))
        {
            await foreach (var _ in call.ResponseStream.ReadAllAsync())
            {
                // Read to its end.
            }
        }

        Answer = await texts.AnswerAsync(request, CancellationToken.None); // the second time, from the caches
        await Assert.ThrowsAsync<RpcException>(async () => await maps.GetMapAsync(new() { Name = "nothing" }));
    }

    private Metadata TraceOf(string call)
    {
        Traces[call] = ActivityTraceId.CreateRandom().ToHexString();
        return new Metadata { { "traceparent", $"00-{Traces[call]}-{ActivitySpanId.CreateRandom().ToHexString()}-01" } };
    }

    private void Start(string role, Dictionary<string, int> ports, params string[] more)
    {
        _ops[role] = FreePort();
        var command = new ProcessStartInfo(
            Path.Combine(AppContext.BaseDirectory, $"LrtMesh.{CultureInfo.InvariantCulture.TextInfo.ToTitleCase(role)}"),
            ["--port", $"{ports[role]}", "--ops-port", $"{_ops[role]}", "--redis", _redis.Address, "--log-format", "json", .. more])
        { RedirectStandardOutput = true, RedirectStandardError = true };
        command.Environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = Collector.EndpointOf(Ways[role]);
        if (Ways[role] == OtlpReceiver.Http)
        {
            command.Environment["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf";
        }

        if (Ways[role] == OtlpReceiver.GrpcOverTls)
        {
            command.Environment["OTEL_EXPORTER_OTLP_CERTIFICATE"] = _authority!.File;
        }

        command.Environment["OTEL_BSP_SCHEDULE_DELAY"] = "200";
        command.Environment["OTEL_METRIC_EXPORT_INTERVAL"] = "1000";
        var process = Process.Start(command)!;
        process.ErrorDataReceived += (_, line) => Take(line.Data);
        process.OutputDataReceived += (_, line) => Take(line.Data);
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        _processes.Add(process);

        void Take(string? line)
        {
            if (line is not null)
            {
                Logs[role].Enqueue(line);
            }
        }
    }

    private async Task ReadyAsync(string role)
    {
        for (var clock = Stopwatch.StartNew(); ; await Task.Delay(100))
        {
            try
            {
                if ((await Http.GetAsync(new Uri($"http://127.0.0.1:{_ops[role]}/health/ready"))).IsSuccessStatusCode)
                {
                    return;
                }
            }
            catch (HttpRequestException)
            {
                // It does not listen yet.
            }

            Assert.True(clock.Elapsed < StartsWithin && !_processes.Exists(process => process.HasExited), $"{role} is not ready: {string.Join('\n', Logs[role])}");
        }
    }

    private GrpcChannel Open(int port)
    {
        _channels.Add(GrpcChannel.ForAddress($"http://127.0.0.1:{port}", new GrpcChannelOptions { Credentials = ChannelCredentials.Insecure }));
        return _channels[^1];
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    // NAME{LABELS} VALUE, with a time where the exporter writes one.
    [GeneratedRegex(@"^([a-z0-9_:]+(?:\{.*\})?) ([^ \r\n]+)(?: \d+)?\r?$", RegexOptions.Multiline)]
    private static partial Regex Sample();

    [GeneratedRegex("^# TYPE ([a-z0-9_:]+) ", RegexOptions.Multiline)]
    private static partial Regex Type();

    [GeneratedRegex("^(dotnet|kestrel)_|^(target|otel_scope)_info$|^(target|otel_scope)$")]
    private static partial Regex Foreign();
}

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Standalone;
using LrtMesh.TestKit;
using LrtMesh.TestKit.Stores;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>One mesh of three processes, `up --role ROLE` each, over a real redis-server.</summary>
public sealed class RoleProcessTests : IAsyncLifetime
{
    private static readonly TimeSpan StartsWithin = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan StopsWithin = TimeSpan.FromSeconds(30);

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-roles-").FullName;
    private readonly RedisServerProcess _redis = new();
    private readonly List<Process> _roles = [];

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private string Profile => ProfileOf("mesh");

    public ValueTask InitializeAsync()
    {
        var tokenizer = Path.Combine(_folder, "tokenizer");
        TinyCheckpoint.WriteTokenizer(tokenizer);
        TinyCheckpoint.Write(Path.Combine(_folder, "source"), tokenizer, width: 16, layers: 3, seed: 1);
        TinyCheckpoint.Write(Path.Combine(_folder, "target"), tokenizer, width: 24, layers: 4, seed: 3);
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var role in _roles)
        {
            role.Kill();
            await role.WaitForExitAsync(CancellationToken.None);
            role.Dispose();
        }

        await _redis.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Three_processes_are_one_mesh_and_stop_when_told()
    {
        Assert.SkipWhen(_redis.Missing is not null, _redis.Missing ?? "");
        await _redis.StartAsync();
        foreach (var role in new[] { "extraction", "generation", "mapping" })
        {
            Start(role);
        }

        var profile = await ProfileAsync();
        using var extraction = Open(profile.Extraction!);
        using var mapping = Open(profile.Mapping!);
        using var generation = Open(profile.Generation!);

        await new ExtractionService.ExtractionServiceClient(extraction).LearnVectorAsync(
            new() { Name = "v", Model = "source", Layers = { 1 }, Pairs = { TinyCheckpoint.Texts(6).Select(text => new ContrastPair { Positive = text + " rain", Negative = text + " tea" }) } }, cancellationToken: Ct);
        var maps = new MappingService.MappingServiceClient(mapping);
        var job = await maps.RunJobAsync(
            new()
            {
                Map = "m",
                Source = new LayerRef { Model = "source", Layer = 1 },
                Target = new LayerRef { Model = "target", Layer = 2 },
                Documents = { TinyCheckpoint.Texts(60).Select(text => new Document { Text = text }) },
            },
            Ct);
        Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
        await maps.TransferVectorAsync(new() { Vector = "v", Map = "m", Name = "w" }, cancellationToken: Ct);
        var answer = await new GenerationService.GenerationServiceClient(generation).AnswerAsync(
            new() { Model = "target", Prompt = "The cat", Steering = { new Steering { Vector = "w", Coefficient = 5 } }, Stopping = new Stopping { MaxTokens = 4 } }, Ct);
        Assert.Equal(job.Result.Digest, Assert.Single(answer.Finished.Steering).MapDigest);

        foreach (var role in _roles)
        {
            using var kill = Process.Start("kill", ["-TERM", role.Id.ToString(CultureInfo.InvariantCulture)]);
            await role.WaitForExitAsync(Ct).WaitAsync(StopsWithin, Ct);
            Assert.Equal(0, role.ExitCode);
        }

        Assert.False(File.Exists(Profile), "the last role to stop takes the profile with it");
    }

    [Fact]
    public async Task A_job_whose_worker_is_killed_ends_at_another_bit_for_bit_the_same()
    {
        Assert.SkipWhen(_redis.Missing is not null, _redis.Missing ?? "");
        await _redis.StartAsync();
        Start("extraction");
        Start("generation");
        Start("mapping");
        var profile = await ProfileAsync();
        Start("mapping", "other", "--endpoints", $"{profile.Extraction},{profile.Generation}");
        var other = await ProfileAsync("other", addresses => addresses.Mapping is not null);
        using var channel = Open(profile.Mapping!);
        using var otherChannel = Open(other.Mapping!);
        (Process Process, MappingService.MappingServiceClient Client)[] workers = [(_roles[2], new(channel)), (_roles[3], new(otherChannel))];
        var undisturbed = await workers[0].Client.RunJobAsync(LongJob("undisturbed"), Ct);
        Assert.Equal((JobState.Succeeded, "", 1u), (undisturbed.State, undisturbed.Error, undisturbed.Attempts));

        var job = (await workers[0].Client.CreateMapJobAsync(LongJob("killed"), cancellationToken: Ct)).Job;
        using (var watch = workers[0].Client.WatchMapJob(new() { Id = job.Id }, cancellationToken: Ct))
        {
            while (job.DocumentsSaved == 0 && await watch.ResponseStream.MoveNext(Ct))
            {
                job = watch.ResponseStream.Current.Job;
            }
        }

        var (killed, survivor) = job.Worker.Contains($"-{workers[0].Process.Id}-", StringComparison.Ordinal) ? (workers[0], workers[1]) : (workers[1], workers[0]);
        killed.Process.Kill(); // SIGKILL
        await killed.Process.WaitForExitAsync(Ct);
        var dead = job.Worker;
        job = await survivor.Client.EndedAsync(job.Id, Ct);

        Assert.Equal((JobState.Succeeded, "", 2u), (job.State, job.Error, job.Attempts));
        Assert.NotEqual(dead, job.Worker);
        Assert.Equal((undisturbed.Rows, undisturbed.DocumentsDone), (job.Rows, job.DocumentsDone));
        Assert.Equal(undisturbed.Maps.Select(map => map.Digest), job.Maps.Select(map => map.Digest)); // over A and b
        Assert.Equal(undisturbed.Result.Metrics.Cosine, job.Result.Metrics.Cosine);
    }

    [Fact]
    public async Task A_fit_of_ten_times_the_rows_takes_hardly_more_memory()
    {
        Assert.SkipWhen(_redis.Missing is not null, _redis.Missing ?? "");
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");

        // Wide enough that a block of states is a large object, of which hardly two have the same length.
        foreach (var (name, width) in new[] { ("source", 128), ("target", 192) })
        {
            TinyCheckpoint.Write(Path.Combine(_folder, name), Path.Combine(_folder, "tokenizer"), width, layers: 1, seed: 1);
        }

        var random = new Random(1);
        var sentences = TinyCheckpoint.Texts(400);
        var texts = Enumerable.Range(0, 5000).Select(_ => string.Join(' ', random.GetItems(sentences.ToArray(), random.Next(1, 12)))).ToArray();
        await File.WriteAllLinesAsync(Path.Combine(_folder, "one.txt"), texts.Take(500), Ct);
        await File.WriteAllLinesAsync(Path.Combine(_folder, "ten.txt"), texts, Ct);
        await _redis.StartAsync();
        Start("extraction");
        Start("generation");
        var models = await ProfileAsync("mesh", addresses => addresses is { Extraction: not null, Generation: not null });
        Start("mapping", "fits", "--endpoints", $"{models.Extraction},{models.Generation}", "--text-root", _folder);
        var role = _roles[^1];
        using var channel = Open((await ProfileAsync("fits", addresses => addresses.Mapping is not null)).Mapping!);
        var mapping = new MappingService.MappingServiceClient(channel);
        // A process's first fits leave behind compiled code and buffers that later ones use again.
        for (var fit = 0; fit < 3; fit++)
        {
            await PeakAsync("one.txt");
        }

        var (one, fewer) = await PeakAsync("one.txt");
        var (ten, more) = await PeakAsync("ten.txt");

        Assert.InRange(more / (double)fewer, 9, 11);
        Assert.True(ten < 1.05 * one, $"{one} kB after {fewer} rows, {ten} kB after {more}");

        async Task<(long Peak, ulong Rows)> PeakAsync(string path)
        {
            await File.WriteAllTextAsync($"/proc/{role.Id}/clear_refs", "5", Ct); // the peak begins again at what is resident now
            var job = await mapping.RunJobAsync(
                new()
                {
                    Map = "m",
                    Source = new LayerRef { Model = "source", Layer = 0 },
                    Target = new LayerRef { Model = "target", Layer = 0 },
                    Texts = new TextSource { Path = path },
                },
                Ct);
            Assert.Equal((JobState.Succeeded, ""), (job.State, job.Error));
            var peak = (await File.ReadAllLinesAsync($"/proc/{role.Id}/status", Ct)).First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
            return (long.Parse(peak.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture), job.Rows);
        }
    }

    private static CreateMapJobRequest LongJob(string map) => new()
    {
        Map = map,
        Source = new LayerRef { Model = "source", Layer = 1 },
        Target = new LayerRef { Model = "target", Layer = 2 },
        Documents = { TinyCheckpoint.Texts(16_000).Select(text => new Document { Text = text }) },
        Fit = new FitOptions { ShuffledControl = true },
    };

    private void Start(string role, string profile = "mesh", params string[] more)
    {
        var command = new ProcessStartInfo(
            Path.ChangeExtension(typeof(RunningMesh).Assembly.Location, null),
            [
                "up", "--role", role, "--redis", _redis.Address, "--profile", ProfileOf(profile),
                "--extraction-model", $"source={Path.Combine(_folder, "source")}", "--generation-model", $"target={Path.Combine(_folder, "target")}", .. more,
            ])
        { RedirectStandardOutput = true, RedirectStandardError = true };
        var process = Process.Start(command)!;
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.ErrorDataReceived += (_, line) => TestContext.Current.SendDiagnosticMessage($"{role}: {line.Data}");
        process.BeginErrorReadLine();
        _roles.Add(process);
    }

    private string ProfileOf(string mesh) => Path.Combine(_folder, $"{mesh}.json");

    private Task<Addresses> ProfileAsync() =>
        ProfileAsync("mesh", addresses => addresses is { Extraction: not null, Mapping: not null, Generation: not null });

    private async Task<Addresses> ProfileAsync(string mesh, Predicate<Addresses> isWhole)
    {
        for (var clock = Stopwatch.StartNew(); ; await Task.Delay(100, Ct))
        {
            if (File.Exists(ProfileOf(mesh))
                && JsonSerializer.Deserialize<Addresses>(await File.ReadAllBytesAsync(ProfileOf(mesh), Ct), JsonSerializerOptions.Web) is { } addresses && isWhole(addresses))
            {
                return addresses;
            }

            Assert.True(clock.Elapsed < StartsWithin, "not all roles are in the profile");
            Assert.DoesNotContain(_roles, role => role.HasExited);
        }
    }

    private static GrpcChannel Open(string address) =>
        GrpcChannel.ForAddress(address, new GrpcChannelOptions { Credentials = ChannelCredentials.Insecure });

    private sealed record Addresses(string? Extraction, string? Mapping, string? Generation);
}

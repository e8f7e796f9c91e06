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

    private string Profile => Path.Combine(_folder, "mesh.json");

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

    private void Start(string role)
    {
        var command = new ProcessStartInfo(
            Path.ChangeExtension(typeof(RunningMesh).Assembly.Location, null),
            [
                "up", "--role", role, "--redis", _redis.Address, "--profile", Profile,
                "--extraction-model", $"source={Path.Combine(_folder, "source")}", "--generation-model", $"target={Path.Combine(_folder, "target")}",
            ])
        { RedirectStandardOutput = true, RedirectStandardError = true };
        var process = Process.Start(command)!;
        process.OutputDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.ErrorDataReceived += (_, line) => TestContext.Current.SendDiagnosticMessage($"{role}: {line.Data}");
        process.BeginErrorReadLine();
        _roles.Add(process);
    }

    private async Task<Addresses> ProfileAsync()
    {
        for (var clock = Stopwatch.StartNew(); ; await Task.Delay(100, Ct))
        {
            if (File.Exists(Profile)
                && JsonSerializer.Deserialize<Addresses>(await File.ReadAllBytesAsync(Profile, Ct), JsonSerializerOptions.Web) is { Extraction: not null, Mapping: not null, Generation: not null } all)
            {
                return all;
            }

            Assert.True(clock.Elapsed < StartsWithin, "not all roles are in the profile");
            Assert.DoesNotContain(_roles, role => role.HasExited);
        }
    }

    private static GrpcChannel Open(string address) =>
        GrpcChannel.ForAddress(address, new GrpcChannelOptions { Credentials = ChannelCredentials.Insecure });

    private sealed record Addresses(string? Extraction, string? Mapping, string? Generation);
}

using System.Diagnostics;
using System.Text.Json.Nodes;
using LrtMesh.Standalone;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Services.Tests;

/// <summary>`bench` with little to do: each runs to its end, loses nothing, and writes figures that can be right.</summary>
public sealed class BenchCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-bench-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Extract_reads_every_token_through_gRPC()
    {
        var json = await RunAsync("extract", "--texts", "4", "--rounds", "2");
        Assert.True((int)json["tokens"]! > 4);
        Assert.True((double)json["tokens_per_second"]! > 0);
        Assert.True((double)json["grpc_to_forward"]! > 0);
        Assert.True((double)json["early_exit"]! > 0);
    }

    [Fact]
    public async Task Stream_takes_every_block()
    {
        var json = await RunAsync("stream", "--megabytes", "16", "--rounds", "2");
        Assert.True((double)json["gigabytes_per_second"]! > 0);
        Assert.InRange((double)json["ratio"]!, 1e-6, 2);
    }

    [Fact]
    public async Task Mixed_counts_a_step_for_each_token_of_the_sequences_alone()
    {
        var json = await RunAsync("mixed", "--batch", "3", "--tokens", "6", "--rounds", "2");
        Assert.InRange((double)json["alone"]!["p50"]!, 1e-6, (double)json["alone"]!["longest"]!);
        Assert.InRange((double)json["mixed"]!["p50"]!, 1e-6, (double)json["mixed"]!["longest"]!);
    }

    [Fact]
    public async Task Latency_loses_no_answer_and_mixes_none_up()
    {
        var json = await RunAsync("latency", "--clients", "8", "--requests", "2");
        Assert.Equal(16, (int)json["requests"]!);
        Assert.Equal(0, (int)json["incomplete"]!);
        // Rounding may turn a token where scores are close; another's answer shares next to none.
        Assert.True((double)json["same_tokens"]! > 0.8, json.ToJsonString());
        Assert.InRange((double)json["first_token_p50"]!, 1e-6, (double)json["first_token_p99"]!);
    }

    [Fact]
    public async Task Serve_answers_every_kind_of_request()
    {
        var json = await RunAsync("serve", "--clients", "4", "--seconds", "1");
        Assert.Equal(["ApplyMap", "Generate", "ExtractHiddenStates"], json["requests"]!.AsArray().Select(request => request!["request"]!.GetValue<string>()));
        Assert.All(json["requests"]!.AsArray(), request =>
        {
            Assert.True((double)request!["per_second"]! > 0);
            Assert.InRange((double)request["p50"]!, 1e-6, (double)request["p99"]!);
            Assert.All(request["memory"]!.AsArray(), bytes => Assert.True((long)bytes! > 0));
        });
    }

    private async Task<JsonNode> RunAsync(string bench, params string[] arguments)
    {
        var file = Path.Combine(_folder, "figures.json");
        var command = new ProcessStartInfo(Path.ChangeExtension(typeof(RunningMesh).Assembly.Location, null), ["bench", bench, .. arguments, "--json", file])
        {
            RedirectStandardOutput = true, RedirectStandardError = true, Environment = { ["LRTMESH_HOME"] = RepositoryRoot.Find() },
        };
        using var process = Process.Start(command)!;
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, output + await error);
        return JsonNode.Parse(await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken))!;
    }
}

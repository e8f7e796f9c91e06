using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Services.Tests;

/// <summary>`evaluate` from end to end: the command line, the roles that it starts, two models of the family, and what it writes.</summary>
public sealed class EvaluateCommandTests : IDisposable
{
    private static readonly string Models = Path.Combine(RepositoryRoot.Find(), "models", "tiny");

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-evaluate-test-").FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private string Report => Path.Combine(_folder, "report");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_family_is_evaluated_and_the_same_command_comes_to_the_same_numbers_without_asking_again()
    {
        // One behaviour, and fewer documents than ship.
        string family = Path.Combine(_folder, "family");
        Directory.CreateDirectory(Path.Combine(family, "behaviours"));
        Directory.CreateDirectory(Path.Combine(family, "text"));
        File.Copy(Path.Combine(Models, "behaviours", "polite.json"), Path.Combine(family, "behaviours", "polite.json"));
        foreach (var file in new[] { "map.jsonl", "map-behaviour-free.jsonl" })
        {
            await File.WriteAllLinesAsync(Path.Combine(family, "text", file), File.ReadLines(Path.Combine(Models, "text", file)).Take(80), Ct);
        }

        string[] command = ["evaluate", "--quick", "--family", family, "--source", $"small={Models}/small", "--target", $"medium={Models}/medium", "--report", Report];
        var first = await RunAsync(command);
        var pairs = first["pairs"]!.AsArray();

        Assert.Equal(["in-distribution", "behaviour-free"], pairs.Select(pair => pair!["map_text"]!.GetValue<string>()));
        foreach (var pair in pairs)
        {
            HasAll(pair!, "source", "target", "kind", "map", "share_kept", "behaviours");
            HasAll(pair!["map"]!, "r2", "stitched_ce", "native_ce");
            HasAll(pair["share_kept"]!, "pooled", "low", "high", "median", "worst", "random", "random_low", "random_high", "shuffled", "slopes");
            var behaviour = Assert.Single(pair["behaviours"]!.AsArray())!;
            HasAll(
                behaviour, "name", "steerable", "coefficient", "prompts", "none", "native", "mapped", "random", "shuffled", "prompt", "share_kept", "pearson", "pearson_shift", "slope_native", "slope_mapped", "wrong_way",
                "ppl_none", "ppl_native", "ppl_mapped", "kl_native", "kl_mapped", "cosine");
            Assert.Equal(24, behaviour["prompts"]!.GetValue<int>());
            // A vector that is learnt in the model itself makes the behaviour's continuations more probable.
            Assert.True(behaviour["slope_native"]!.GetValue<double>() > 0, behaviour.ToJsonString());
            Assert.True(pair["map"]!["r2"]!.GetValue<double>() is > 0 and < 1, pair["map"]!.ToJsonString());
        }

        Assert.StartsWith("<!doctype html>", await File.ReadAllTextAsync(Path.Combine(Report, "index.html"), Ct), StringComparison.Ordinal);
        Assert.Equal(3, (await File.ReadAllLinesAsync(Path.Combine(Report, "behaviours.csv"), Ct)).Length);
        Assert.NotEmpty(Directory.GetFiles(Path.Combine(Report, "figures"), "*.png"));

        var asked = (await File.ReadAllLinesAsync(Path.Combine(Report, "answers.log"), Ct)).Length;
        var again = await RunAsync(command);
        Assert.Equal(Rates(first), Rates(again));
        Assert.InRange((await File.ReadAllLinesAsync(Path.Combine(Report, "answers.log"), Ct)).Length, asked, asked * 1.02);
    }

    [Fact]
    public async Task Ones_own_behaviours_are_read_asked_and_reported()
    {
        var polite = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Models, "behaviours", "polite.json"), Ct))!;
        await File.WriteAllLinesAsync(
            Path.Combine(_folder, "manners.jsonl"),
            polite["dev"]!.AsArray().Concat(polite["test"]!.AsArray()).Select(prompt => JsonSerializer.Serialize(new { prompt = prompt!["text"], positive = prompt["positive"], negative = prompt["negative"] })),
            Ct);
        await File.WriteAllLinesAsync(Path.Combine(_folder, "texts.jsonl"), File.ReadLines(Path.Combine(Models, "text", "map-behaviour-free.jsonl")).Take(60), Ct);
        string[] models = ["--source", $"small={Models}/small", "--target", $"medium={Models}/medium"];

        var found = await RunAsync(["evaluate", "--quick", .. models, "--behaviours", Path.Combine(_folder, "manners.jsonl"), "--map-text", Path.Combine(_folder, "texts.jsonl"), "--report", Report]);
        var behaviour = Assert.Single(found["pairs"]![0]!["behaviours"]!.AsArray())!;
        Assert.Equal("manners", behaviour["name"]!.GetValue<string>());
        Assert.True(behaviour["slope_native"]!.GetValue<double>() > 0, behaviour.ToJsonString());
        Assert.Contains("more probable of the two", await File.ReadAllTextAsync(Path.Combine(Report, "index.html"), Ct), StringComparison.Ordinal);

        var (code, _, error) = await RunProcessAsync(["evaluate", .. models, "--behaviours", Path.Combine(_folder, "manners.jsonl"), "--report", Report]);
        Assert.Equal(2, code);
        Assert.Contains("--map-text", error, StringComparison.Ordinal);
    }

    private static void HasAll(JsonNode node, params string[] names) => Assert.Empty(names.Except(node.AsObject().Select(property => property.Key)));

    private static string[] Rates(JsonNode facts) =>
        [.. facts["pairs"]!.AsArray().SelectMany(pair => pair!["behaviours"]!.AsArray().Select(behaviour => $"{behaviour!["none"]} {behaviour["native"]} {behaviour["mapped"]} {behaviour["random"]} {behaviour["shuffled"]} {behaviour["prompt"]}"))];

    private async Task<JsonNode> RunAsync(string[] arguments)
    {
        string json = Path.Combine(_folder, "facts.json");
        var (code, output, error) = await RunProcessAsync([.. arguments, "--json", json]);
        Assert.True(code == 0, $"{output}\n{error}");
        return JsonNode.Parse(await File.ReadAllTextAsync(json, Ct))!;
    }

    private static async Task<(int Code, string Output, string Error)> RunProcessAsync(string[] arguments)
    {
        string here = AppContext.BaseDirectory;
        var command = new ProcessStartInfo(Path.Combine(here, "LrtMesh.Cli"), arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["LRTMESH_STANDALONE"] = Path.Combine(here, "LrtMesh.Standalone"), ["LRTMESH_HOME"] = RepositoryRoot.Find() },
        };
        using var process = Process.Start(command)!;
        var error = process.StandardError.ReadToEndAsync(Ct);
        var output = await process.StandardOutput.ReadToEndAsync(Ct);
        await process.WaitForExitAsync(Ct);
        return (process.ExitCode, output, await error);
    }
}

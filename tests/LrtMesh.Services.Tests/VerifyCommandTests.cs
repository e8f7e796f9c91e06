using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Standalone;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Services.Tests;

/// <summary>`verify` as a program sees it: its JSON and its exit code.</summary>
public sealed class VerifyCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-verify-").FullName;

    private string Cases => Path.Combine(_folder, "cases.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Tokenizer_cases_pass_and_one_changed_id_fails_them()
    {
        TinyCheckpoint.WriteTokenizer(_folder);
        var text = TinyCheckpoint.Texts(1)[0];
        int[] ids = [.. Tokenizer.Load(_folder).Encode(text, addSpecialTokens: true).Select(token => token.Id)];

        var (code, json) = await RunAsync(text, ids);
        Assert.Equal((0, """{"passed":true,"cases":1,"failed":[]}"""), (code, json));

        int[] changed = [ids[0] + 1, .. ids[1..]];
        (code, json) = await RunAsync(text, changed);
        var failed = JsonNode.Parse($$"""[{"text":{{JsonSerializer.Serialize(text)}},"expected":"{{string.Join(' ', changed)}}","got":"{{string.Join(' ', ids)}}"}]""");
        Assert.Equal(1, code);
        Assert.True(JsonNode.DeepEquals(new JsonObject { ["passed"] = false, ["cases"] = 1, ["failed"] = failed }, JsonNode.Parse(json)), json);
    }

    private async Task<(int Code, string Json)> RunAsync(string text, int[] ids)
    {
        await File.WriteAllTextAsync(Cases, JsonSerializer.Serialize(new[] { new { text, ids, add_special_tokens = true } }), TestContext.Current.CancellationToken);
        var command = new ProcessStartInfo(
            Path.ChangeExtension(typeof(RunningMesh).Assembly.Location, null), ["verify", "--tokenizer", _folder, "--cases", Cases, "--json", "-"])
        { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(command)!;
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(output.Length > 0, await error);
        return (process.ExitCode, JsonNode.Parse(output)!.ToJsonString());
    }
}

using System.Net;
using System.Net.Sockets;
using LrtMesh.Core;
using LrtMesh.Extraction;
using LrtMesh.Standalone;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>What a mesh that cannot start says, and that it leaves nothing running.</summary>
public sealed class StartTests(MeshFixture mesh) : MeshTests(mesh)
{
    [Fact]
    public async Task A_taken_port_is_named()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        var error = await FailAsync(Options() with { GenerationPort = port });

        Assert.Contains($"the generation role cannot listen on 127.0.0.1:{port}", error.Message, StringComparison.Ordinal);
        Assert.Contains("another port", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unreadable_checkpoint_is_named()
    {
        var broken = Path.Combine(Mesh.Folder, "broken");
        TinyCheckpoint.Write(broken, Path.Combine(Mesh.Folder, "tokenizer"), width: 16, layers: 1, seed: 9);
        var weights = Path.Combine(broken, "model.safetensors");
        await using (var file = File.OpenWrite(weights))
        {
            file.SetLength(file.Length / 2);
        }

        var error = await FailAsync(Options() with { ExtractionModels = [new ModelSource("broken", broken)] });

        Assert.Contains(weights, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_folder_is_named()
    {
        var missing = Path.Combine(Mesh.Folder, "missing");
        var error = await FailAsync(Options() with { GenerationModels = [new ModelSource("missing", missing)] });

        Assert.Contains(missing, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_redis_that_does_not_answer_is_named()
    {
        using var closed = new TcpListener(IPAddress.Loopback, 0);
        closed.Start();
        var address = closed.LocalEndpoint.ToString()!;
        closed.Stop();
        var error = await FailAsync(Options() with { Redis = address });

        Assert.Equal(ErrorReason.Unavailable, error.Reason);
        Assert.Contains(address, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_model_twice_is_refused()
    {
        var source = new ModelSource("source", Path.Combine(Mesh.Folder, "source"));
        var error = await FailAsync(Options() with { ExtractionModels = [source, source] });

        Assert.Contains("'source' is given twice", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_wrong_option_is_named()
    {
        var error = await FailAsync(Options() with { Role = MeshRole.Mapping, MappingPort = 70000 });

        Assert.Equal(["--redis", "--mapping-port"], error.Violations.Select(violation => violation.Field));
    }

    private UpOptions Options() => Mesh.Options with { DataFolder = Path.Combine(Mesh.Folder, Guid.NewGuid().ToString("N")) };

    private static Task<LrtMeshException> FailAsync(UpOptions options) =>
        Assert.ThrowsAsync<LrtMeshException>(() => RunningMesh.StartAsync(options, Ct));
}

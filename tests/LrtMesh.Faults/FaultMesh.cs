using System.Reflection;
using Grpc.Core;
using LrtMesh.Client;
using LrtMesh.Core.Store;
using LrtMesh.Extraction;
using LrtMesh.Generation;
using LrtMesh.Mapping;
using LrtMesh.TestKit;
using LrtMesh.TestKit.Stores;
using LrtMesh.V1;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>
/// A mesh as it is deployed: three role processes over a real redis-server that has on disk what it acknowledges. Random models "source", in extraction, and
/// "target", in generation. The mapping role holds a map "m" from layer 1 of the one to layer 2 of the other.
/// </summary>
public sealed class FaultMesh : IAsyncLifetime
{
    /// <summary>Widths of the models.</summary>
    public const int SourceWidth = 16, TargetWidth = 24;

    private const int Context = 2048; // long enough that a stream can be hit in its middle

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-faults-").FullName;

    internal RedisServerProcess Redis { get; } = new();

    internal RoleProcess Extraction { get; private set; } = null!;

    internal RoleProcess Mapping { get; private set; } = null!;

    internal RoleProcess Generation { get; private set; } = null!;

    /// <summary>A client of all three.</summary>
    public MeshClient Client { get; private set; } = null!;

    private static Assembly MappingProgram => typeof(MappingRole).Assembly;

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        if (Redis.Missing is not null || !OperatingSystem.IsLinux())
        {
            return; // each test says so
        }

        var tokenizer = Path.Combine(_folder, "tokenizer");
        TinyCheckpoint.WriteTokenizer(tokenizer);
        TinyCheckpoint.Write(Path.Combine(_folder, "source"), tokenizer, SourceWidth, layers: 3, seed: 1);
        TinyCheckpoint.Write(Path.Combine(_folder, "target"), tokenizer, TargetWidth, layers: 4, seed: 3, Context);
        await Redis.StartAsync();
        Extraction = new(typeof(ExtractionRole).Assembly, "--redis", Redis.Address, "--models", $"source={Path.Combine(_folder, "source")}");
        Generation = new(typeof(GenerationRole).Assembly, "--redis", Redis.Address, "--models", $"target={Path.Combine(_folder, "target")}");
        Mapping = OneMoreMapping("--endpoints", $"{Extraction.Address},{Generation.Address}");
        await Task.WhenAll(Extraction.StartAsync(), Generation.StartAsync(), Mapping.StartAsync());
        Client = new(new(Extraction.Address, Mapping.Address, Generation.Address));
        await using var store = await StoreAsync();
        await store.Maps.PutAsync(StoreSamples.Map("m", 1, SourceWidth, TargetWidth), default);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Client?.Dispose();
        foreach (var role in new[] { Extraction, Mapping, Generation }.OfType<RoleProcess>())
        {
            await role.DisposeAsync();
        }

        await Redis.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Skips the test where there is no redis-server, or no /proc.</summary>
    public void Need()
    {
        Assert.SkipWhen(Redis.Missing is not null, Redis.Missing ?? "");
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
    }

    /// <summary>A mapping role of a test's own over the same store, not started.</summary>
    internal RoleProcess OneMoreMapping(params string[] settings) => new(MappingProgram, ["--redis", Redis.Address, .. settings]);

    /// <summary>A client of the store that has nothing in memory.</summary>
    internal Task<MeshStore> StoreAsync() => MeshStore.ConnectAsync(Redis.Address, NullLogger<MeshStore>.Instance, TestContext.Current.CancellationToken);

    /// <summary>A request for so many tokens, no fewer.</summary>
    internal static GenerateRequest Request(int tokens) => new()
    {
        Model = "target", Prompt = "The cat sat", Sampling = new() { Temperature = 0 }, Stopping = new() { MaxTokens = (uint)tokens, IgnoreEos = true },
    };

    /// <summary>Tries again while the answer is UNAVAILABLE, as a client does that means it.</summary>
    internal static async Task<T> RetryAsync<T>(Func<Task<T>> call)
    {
        for (var until = DateTime.UtcNow.AddMinutes(3); ; await Task.Delay(200, TestContext.Current.CancellationToken))
        {
            try
            {
                return await call();
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Unavailable && DateTime.UtcNow < until)
            {
                // Not back yet.
            }
        }
    }
}

using LrtMesh.Extraction;
using LrtMesh.TestKit;
using LrtMesh.V1;
using TorchSharp;
using Xunit;

namespace LrtMesh.Services.Tests.Mesh;

/// <summary>One mesh for all; these tests run alone, so that the count of live tensors is theirs.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class OneMesh : ICollectionFixture<MeshFixture>
{
    public const string Name = "mesh";
}

/// <summary>Tests against a running mesh; each leaves as many tensors alive as it found.</summary>
[Collection(OneMesh.Name)]
public abstract class MeshTests(MeshFixture mesh) : IAsyncLifetime
{
    private long _tensors;

    protected MeshFixture Mesh { get; } = mesh;

    protected static CancellationToken Ct => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync()
    {
        CountTensors();
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        // A model thread may still be leaving its last step.
        for (var attempt = 0; attempt < 50 && LiveTensors() > _tensors; attempt++)
        {
            await Task.Delay(20, CancellationToken.None);
        }

        Assert.InRange(LiveTensors(), 0, _tensors);
        GC.SuppressFinalize(this);
    }

    /// <summary>Counts from here: what the test has loaded stays.</summary>
    protected void CountTensors() => _tensors = LiveTensors();

    /// <summary>Without what is held of prompts on purpose, within a budget.</summary>
    private long LiveTensors() => torch.Tensor.TotalCount - Mesh.Mesh.Generation!.Service<ModelRegistry>().All.Sum(model => model.PrefixTensors);

    /// <summary>A greedy request for 16 tokens.</summary>
    protected static GenerateRequest Greedy(string prompt, params Steering[] steering) => new()
    {
        Model = "target",
        Prompt = prompt,
        Sampling = new Sampling { Temperature = 0 },
        Stopping = new Stopping { MaxTokens = 16, IgnoreEos = true },
        Steering = { steering },
    };

    /// <summary>Contrast pairs that differ.</summary>
    protected static IEnumerable<ContrastPair> Pairs(int count) =>
        TinyCheckpoint.Texts(count).Select((text, i) => new ContrastPair { Positive = text + " rain", Negative = text + " tea " + i });

    /// <summary>Learns a native vector of the target, which layer 2 steers.</summary>
    protected async Task<Vector> LearnTargetAsync(string name) => Assert.Single((await Mesh.TargetExtraction.LearnVectorAsync(
        new LearnVectorRequest { Name = name, Model = "target", Layers = { 2 }, Pairs = { Pairs(6) } }, cancellationToken: Ct)).Vectors).Vector;
}

using TorchSharp;
using Xunit;

namespace LrtMesh.Core.Tests.Maps;

/// <summary>Tests of moments run alone, so that the count of live tensors is theirs.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class MomentsRunAlone
{
    public const string Name = "moments";
}

/// <summary>Fails a test that leaves torch tensors undisposed.</summary>
public abstract class TorchLeakCheck : IDisposable
{
    private readonly long _before = torch.Tensor.TotalCount;

    public void Dispose()
    {
        Assert.InRange(torch.Tensor.TotalCount, 0, _before);
        GC.SuppressFinalize(this);
    }
}

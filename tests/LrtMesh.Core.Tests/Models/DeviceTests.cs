using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>Where a model is computed, and what is refused where there is no GPU.</summary>
public sealed class DeviceTests : IDisposable
{
    private readonly TemporaryCheckpoint _checkpoint = new(width: 32, layers: 2);

    public void Dispose() => _checkpoint.Dispose();

    [Fact]
    public void A_GPU_that_is_not_there_is_refused_and_auto_says_why_it_takes_the_CPU()
    {
        NativeTorch.EnsureLoaded();
        Assert.SkipWhen(NativeTorch.Gpus > 0, "a GPU is here");
        Assert.Equal(DeviceType.CPU, DeviceChoice.Make("auto").Device.type);
        Assert.Contains(NativeTorch.WhyNoGpu, DeviceChoice.Make("auto").Reason, StringComparison.Ordinal);
        var refused = Assert.Throws<LrtMeshException>(() => LoadedModel.Load("test", _checkpoint.Folder, device: "cuda:1"));
        Assert.Equal(ErrorReason.FailedPrecondition, refused.Reason);
        Assert.Contains("cuda:1", refused.Message, StringComparison.Ordinal);
        Assert.Contains("-p:Torch=cuda", refused.Message, StringComparison.Ordinal);
        using var model = LoadedModel.Load("test", _checkpoint.Folder, device: "auto");
        Assert.Equal("cpu", model.Description.Device);
    }

    [Theory]
    [InlineData("gpu")]
    [InlineData("cuda:")]
    [InlineData("cuda:-1")]
    [InlineData("cuda:x")]
    public void A_device_of_another_form_is_refused(string wish)
    {
        var refused = Assert.Throws<LrtMeshException>(() => DeviceChoice.Make(wish));
        Assert.Equal(ErrorReason.InvalidArgument, refused.Reason);
        Assert.Equal("device", refused.Violations[0].Field);
    }

    [Fact]
    public void Int8_is_refused_anywhere_but_on_a_CPU()
    {
        var refused = Assert.Throws<LrtMeshException>(() => Checkpoint.Load(_checkpoint.Folder, ScalarType.Int8, META));
        Assert.Equal("dtype", refused.Violations[0].Field);
    }
}

using System.Text;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;

namespace LrtMesh.Core.Tests.Native;

/// <summary>What the build put beside these tests loads here, and NuGet's file is as it was published.</summary>
public sealed class NativeTorchOutputTests
{
    private static readonly string Output = Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so");

    [Fact]
    public void Torch_computes()
    {
        NativeTorch.EnsureLoaded();

        using var scope = torch.NewDisposeScope();
        var product = torch.tensor(new float[] { 1, 2, 3, 4 }).reshape(2, 2).matmul(torch.ones(2, 2));

        Assert.Equal([3f, 3f, 7f, 7f], product.data<float>().ToArray());
    }

    [Fact]
    public void Torch_takes_the_cpus_that_the_process_may_use()
    {
        NativeTorch.EnsureLoaded();

        Assert.Equal(Environment.ProcessorCount, torch.get_num_threads());
    }

    [Fact]
    public void The_nuget_cache_is_untouched() =>
        Assert.True(NuGetTorch.PublishedBytes().AsSpan().SequenceEqual(File.ReadAllBytes(NuGetTorch.Library)));

    [Fact]
    public void The_output_is_the_published_library_but_for_one_flag_where_libstdcxx_is_old()
    {
        NativeTorch.EnsureLoaded();
        var published = NuGetTorch.PublishedBytes();
        var output = File.ReadAllBytes(Output);
        var differing = Enumerable.Range(0, published.Length).Where(i => published[i] != output[i]).ToArray();

        Assert.Equal(published.Length, output.Length);
        if (LoadedLibStdCxxHas("GLIBCXX_3.4.32"))
        {
            Assert.Empty(differing);
            return;
        }

        var at = Assert.Single(differing);
        Assert.Equal(published[at] | 2, output[at]);
        var target = new FileInfo(Output).ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? Output;
        Assert.False(target.StartsWith(NuGetTorch.Folder, StringComparison.Ordinal), $"{Output} is a link to {target}");
    }

    private static bool LoadedLibStdCxxHas(string version)
    {
        var path = File.ReadLines("/proc/self/maps").First(m => m.Contains("/libstdc++.so", StringComparison.Ordinal));
        return File.ReadAllBytes(path[path.IndexOf('/', StringComparison.Ordinal)..]).AsSpan().IndexOf(Encoding.ASCII.GetBytes(version)) >= 0;
    }
}

using LrtMesh.Cli.Interchange;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using LrtMesh.TestKit;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;
using SafetensorsFile = LrtMesh.Core.Models.SafetensorsFile;

namespace LrtMesh.Core.Tests.Cli;

/// <summary>A control vector as it is written here, and what llama.cpp computed with it: tests/golden/README.md says how.</summary>
public sealed class ControlVectorTests : IDisposable
{
    private static readonly string Folder = Path.Combine(RepositoryRoot.Find(), "tests", "golden", "control-vector");

    private readonly IDisposable _noGrad = no_grad();
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly SafetensorsFile _llamaCpp = SafetensorsFile.Open(Path.Combine(Folder, "llama-cpp.safetensors"));
    private readonly Decoder _decoder = Checkpoint.Load(Folder, ScalarType.Float32);
    private readonly VectorFile _vector = VectorFile.Read(Path.Combine(Folder, "control-vector.gguf"));

    public void Dispose()
    {
        _decoder.Dispose();
        _llamaCpp.Dispose();
        _scope.Dispose();
        _noGrad.Dispose();
    }

    [Fact]
    public async Task The_file_that_it_read_is_what_is_written_here()
    {
        var written = Path.Combine(Directory.CreateTempSubdirectory("lrtmesh-vectors-").FullName, "v.gguf");
        await _vector.WriteAsync(written, TestContext.Current.CancellationToken);
        Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(Folder, "control-vector.gguf"), TestContext.Current.CancellationToken), await File.ReadAllBytesAsync(written, TestContext.Current.CancellationToken));
        Directory.Delete(Path.GetDirectoryName(written)!, recursive: true);
    }

    [Fact]
    public void Directions_are_added_where_it_adds_them()
    {
        Assert.Equal([1u, 2u, 3u], _vector.Directions.Keys.Order());
        Assert.InRange(Difference("logits", new AddingTap([])), 0, 1e-4);
        Assert.InRange(Difference("steered.logits", new AddingTap(Moved(0))), 0, 1e-4);
        Assert.InRange(Difference("steered.logits", new AddingTap(Moved(-1))), 1, 100);
    }

    /// <summary>The directions by layer, counted otherwise.</summary>
    private Dictionary<int, Tensor> Moved(int by) => _vector.Directions.ToDictionary(direction => (int)direction.Key + by, direction => tensor(direction.Value));

    /// <summary>The largest difference of logits.</summary>
    private float Difference(string name, Tap tap)
    {
        Tensor Read(string of, ScalarType type) => _llamaCpp.Read(of, _llamaCpp.Tensors[of].Shape, type);
        return (_decoder.Logits(_decoder.Read(Read("input_ids", ScalarType.Int64), tap)) - Read(name, ScalarType.Float32)).abs().max().item<float>();
    }

    private sealed class AddingTap(Dictionary<int, Tensor> directions) : Tap
    {
        public override Tensor AfterBlock(int layer, Tensor hidden) => directions.TryGetValue(layer, out var direction) ? hidden + direction : hidden;
    }
}

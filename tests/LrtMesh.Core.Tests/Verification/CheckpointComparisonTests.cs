using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using LrtMesh.Core.Tests.Models;
using LrtMesh.Core.Verification;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Verification;

/// <summary>A comparison passes on what agrees, and one changed value anywhere fails it.</summary>
public sealed class CheckpointComparisonTests : IDisposable
{
    private const int Rows = 2;
    private const int Tokens = 12;
    private const int Continued = 4;
    private const int SteeredLayer = 1;

    private readonly TemporaryCheckpoint _checkpoint = new(width: 32, layers: 3);
    private readonly Dictionary<string, (long[] Shape, float[] Values)> _floats = [];
    private readonly Dictionary<string, (long[] Shape, long[] Values)> _integers = [];

    public CheckpointComparisonTests() => ComputeReference();

    public void Dispose() => _checkpoint.Dispose();

    [Fact]
    public void What_agrees_passes_and_every_part_is_reported()
    {
        var report = Compare();
        Assert.True(report.Passed, string.Join('\n', report.GreedyDifferences.Concat(report.All.Where(d => !d.Agrees).Select(d => $"{d}"))));
        Assert.Equal(("llama", (long)Rows, (long)Tokens, true), (report.Family, report.Rows, report.Tokens, report.GreedyMatches));
        Assert.Equal([0, 1, 2], report.Layers.Select(entry => entry.Layer));
        Assert.All([report.Embedding, report.Logits, report.Steered, report.Ablated], Assert.NotNull);
    }

    [Theory]
    [InlineData("hidden.embed")]
    [InlineData("hidden.0")]
    [InlineData("hidden.2")]
    [InlineData("logits")]
    [InlineData("steer.logits")]
    [InlineData("ablate.logits")]
    public void One_changed_value_fails(string name)
    {
        _floats[name].Values[^1] += 1e-3f;
        var report = Compare();
        Assert.False(report.Passed);
        var wrong = Assert.Single(report.All, difference => !difference.Agrees);
        Assert.Equal((name, 1L), (wrong.Name, wrong.Outside));
        Assert.Equal(1e-3, wrong.MaxAbsolute, 4);
    }

    [Fact]
    public void What_is_not_a_number_fails()
    {
        _floats["hidden.1"].Values[7] = float.NaN;
        Assert.False(Compare().Passed);
    }

    [Theory]
    [InlineData("greedy_ids", "row 1: token 3")]
    [InlineData("greedy_stop", "row 1")]
    public void One_changed_id_fails(string name, string says)
    {
        _integers[name].Values[^1]++;
        var report = Compare();
        Assert.False(report.Passed);
        Assert.False(report.GreedyMatches);
        Assert.Contains(says, Assert.Single(report.GreedyDifferences), StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_reference_lacks_is_null()
    {
        foreach (var name in _floats.Keys.Where(name => name != "logits").ToList())
        {
            _floats.Remove(name);
        }

        foreach (var name in _integers.Keys.Where(name => name != "input_ids").ToList())
        {
            _integers.Remove(name);
        }

        var report = Compare();
        Assert.True(report.Passed);
        Assert.Empty(report.Hidden);
        Assert.Null(report.GreedyMatches);
        Assert.Null(report.Steered);
        Assert.Null(report.Ablated);

        _floats.Remove("logits");
        Assert.Contains("nothing to compare", Assert.Throws<LrtMeshException>(Compare).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("hidden.3", "layers 0 to 2")]
    [InlineData("hidden.x", "is not known")]
    [InlineData("logit", "is not known")]
    public void A_tensor_that_means_nothing_here_is_refused(string name, string says)
    {
        _floats[name] = ([1], [1]);
        var error = Assert.Throws<LrtMeshException>(Compare);
        Assert.Contains($"'{name}'", error.Message, StringComparison.Ordinal);
        Assert.Contains(says, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Int8)]
    public void Rounded_weights_agree_within_their_tolerance_and_a_wrong_layer_does_not(ScalarType weights)
    {
        var report = Compare(weights);
        Assert.True(report.Passed, string.Join('\n', report.All.Where(d => !d.Agrees).Select(d => $"{d}")));
        Assert.Contains(report.All, difference => difference.RelativeNorm > 1e-4); // it was not computed in float32
        Array.Reverse(_floats["hidden.1"].Values);
        Assert.Equal("hidden.1", Assert.Single(Compare(weights).All, difference => !difference.Agrees).Name);
    }

    [Fact]
    public void A_reference_of_another_model_is_refused()
    {
        _integers["input_ids"].Values[0] = 320;
        Assert.Contains("vocabulary has 320", Assert.Throws<LrtMeshException>(Compare).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Goldens_agree()
    {
        foreach (var folder in GoldenCheckpoint.Folders())
        {
            var report = CheckpointComparison.Run(folder, Path.Combine(folder, "expected.safetensors"), ScalarType.Float32, Tolerance.Float32);
            Assert.True(report.Passed, $"{folder}: {string.Join('\n', report.GreedyDifferences.Concat(report.All.Where(d => !d.Agrees).Select(d => $"{d}")))}");
        }
    }

    /// <summary>The reference, computed without cache, steering table or generation loop.</summary>
    private void ComputeReference()
    {
        NativeTorch.EnsureLoaded();
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        using var generator = new Generator(3, CPU);
        var ids = randint(0, 300, [Rows, Tokens], ScalarType.Int64, generator: generator);
        var vector = randn([32], generator: generator);
        var unit = vector.to(ScalarType.Float64) / linalg.norm(vector.to(ScalarType.Float64));
        var capture = new CaptureTap([0, 1, 2]);
        var last = decoder.Read(ids, capture);
        Keep("hidden.embed", decoder.Embed(ids));
        for (var layer = 0; layer < 3; layer++)
        {
            Keep($"hidden.{layer}", capture[layer]);
        }

        Keep("logits", decoder.Logits(last));
        Keep("steer.vector", vector);
        Keep("steer.alpha", tensor(new[] { 2.5f }));
        Keep("steer.logits", decoder.Logits(decoder.Read(ids, new ChangeTap(SteeredLayer, hidden => hidden + (vector * 2.5f)))));
        Keep("ablate.logits", decoder.Logits(decoder.Read(ids, new ChangeTap(SteeredLayer, hidden =>
        {
            var exact = hidden.to(ScalarType.Float64);
            return (exact - (exact.matmul(unit).unsqueeze(-1) * unit)).to(ScalarType.Float32); // h − (h·u)u in float64
        }))));

        _integers["input_ids"] = ([Rows, Tokens], [.. ids.data<long>()]);
        _integers["steer.layer"] = ([1], [SteeredLayer]);
        var greedy = ids;
        for (var i = 0; i < Continued; i++)
        {
            greedy = cat([greedy, decoder.Logits(decoder.Read(greedy, tap: null)).select(1, Tokens + i - 1).argmax(-1).unsqueeze(1)], 1);
        }

        var continued = greedy.narrow(1, Tokens, Continued).contiguous();
        _integers["greedy_ids"] = ([Rows, Continued], [.. continued.data<long>()]);
        _integers["greedy_stop"] = ([Rows], [.. _integers["greedy_ids"].Values.Chunk(Continued).Select(row =>
            row.TakeWhile(id => !decoder.Config.EndOfSequence.Contains((int)id)).Count() is var count && count < Continued ? count + 1L : Continued)]);
    }

    private void Keep(string name, TorchSharp.torch.Tensor tensor) => _floats[name] = (tensor.shape, tensor.contiguous().Floats().ToArray());

    private CheckpointReport Compare() => Compare(ScalarType.Float32);

    private CheckpointReport Compare(ScalarType weights)
    {
        using var scope = NewDisposeScope();
        var path = Path.Combine(_checkpoint.Folder, "expected.safetensors");
        SafetensorsWriter.Write(
            path,
            [
                .. _floats.Select(entry => (entry.Key, tensor(entry.Value.Values, entry.Value.Shape))),
                .. _integers.Select(entry => (entry.Key, tensor(entry.Value.Values, entry.Value.Shape))),
            ]);
        try
        {
            return CheckpointComparison.Run(_checkpoint.Folder, path, weights, Tolerance.For(weights));
        }
        finally
        {
            File.Delete(path); // it is no part of the checkpoint
        }
    }

    private sealed class ChangeTap(int layer, Func<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor> change) : Tap
    {
        public override TorchSharp.torch.Tensor AfterBlock(int at, TorchSharp.torch.Tensor hidden) => at == layer ? change(hidden) : hidden;
    }
}

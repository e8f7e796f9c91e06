using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using LrtMesh.TestKit;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>The decoder against a float64 reference written from nothing but the definition.</summary>
public sealed class DecoderTests : InferenceTests
{
    private const float Tolerance = 1e-4f;

    private readonly TemporaryCheckpoint _checkpoint = new(width: 32, layers: 3);
    private readonly int[] _ids = [0, 17, 200, 3, 99, 42, 42, 7, 311, 5, 128, 1];

    public override void Dispose()
    {
        base.Dispose();
        _checkpoint.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public void Hidden_states_and_logits_are_those_of_the_reference()
    {
        var (layers, logits) = Reference();
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        var tap = new CaptureTap([0, 1, 2]);
        var hidden = decoder.Read(Row(_ids), tap);

        for (var layer = 0; layer < 3; layer++)
        {
            AssertClose(layers[layer], tap[layer]);
        }

        AssertClose(logits, decoder.Logits(hidden));
    }

    [Theory]
    [InlineData(12)]
    [InlineData(5, 7)]
    [InlineData(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)]
    public void With_a_cache_the_logits_are_the_same_in_chunks_of_any_size(params int[] chunks)
    {
        var (_, logits) = Reference();
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        using var cache = new KvCache(decoder.Config, slots: 3, capacity: 32, ScalarType.Float32);
        var parts = new List<Tensor>();
        var at = 0;
        foreach (var length in chunks)
        {
            var positions = arange(at, at + length, ScalarType.Int64).unsqueeze(0);
            parts.Add(decoder.Logits(decoder.Advance(Row(_ids[at..(at + length)]), positions, cache, firstSlot: 1, reach: at + length, tap: null)));
            at += length;
        }

        AssertClose(logits, cat(parts, 1));
    }

    [Fact]
    public void A_moved_slot_goes_on_as_if_it_had_always_been_there()
    {
        var (_, logits) = Reference();
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        using var cache = new KvCache(decoder.Config, slots: 3, capacity: 32, ScalarType.Float32);
        decoder.Advance(Row(_ids[..11]), arange(11, ScalarType.Int64).unsqueeze(0), cache, firstSlot: 2, reach: 11, tap: null);
        cache.Move(from: 2, to: 0, length: 11);
        var last = decoder.Advance(Row(_ids[11..]), full(1, 1, 11, ScalarType.Int64), cache, firstSlot: 0, reach: 12, tap: null);
        AssertClose(logits[11..], decoder.Logits(last));
    }

    [Fact]
    public void A_capture_that_needs_an_early_layer_stops_after_it()
    {
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        var whole = new CaptureTap([1, 2]);
        decoder.Read(Row(_ids), whole);
        var early = new CaptureTap([1]);
        var hidden = decoder.Read(Row(_ids), early);
        Assert.Equal(whole[1].Floats().ToArray(), early[1].Floats().ToArray());
        Assert.Equal(early[1].Floats().ToArray(), hidden.Floats().ToArray());
    }

    [Fact]
    public void A_checkpoint_written_and_read_again_is_the_same_to_the_bit()
    {
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        var copy = Path.Combine(_checkpoint.Folder, "copy");
        Checkpoint.Save(copy, decoder.Config, decoder.Weights);
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(_checkpoint.Folder, CheckpointFiles.SingleFile)), File.ReadAllBytes(Path.Combine(copy, CheckpointFiles.SingleFile)));
    }

    private static Tensor Row(int[] ids) => tensor(ids.Select(id => (long)id).ToArray(), ScalarType.Int64).unsqueeze(0);

    private static void AssertClose(double[][] expected, Tensor actual)
    {
        var values = actual.contiguous().Floats().ToArray();
        var flat = expected.SelectMany(row => row).ToArray();
        Assert.Equal(flat.Length, values.Length);
        var worst = flat.Select((e, i) => Math.Abs(e - values[i]) / (1 + Math.Abs(e))).Max();
        Assert.True(worst < Tolerance, $"differs by {worst:g3}");
    }

    private (double[][][] Layers, double[][] Logits) Reference()
    {
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        using var file = SafetensorsFile.Open(Path.Combine(_checkpoint.Folder, CheckpointFiles.SingleFile));
        return new ReferenceLlama(decoder.Config, file).Run(_ids);
    }
}

using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Tensors;
using LrtMesh.Core.Tests.Models;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Steering;

/// <summary>One gather and one add, whatever is in the table, and not a bit for those who asked for nothing.</summary>
public sealed class SteeringTableTests : IDisposable
{
    private readonly TemporaryCheckpoint _checkpoint = new(width: 32, layers: 3);

    public void Dispose() => _checkpoint.Dispose();

    [Fact]
    public void An_unsteered_sequence_gets_the_same_bits_beside_steered_ones_as_beside_unsteered_ones()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        using var table = new SteeringTable(32);
        var ids = randint(0, 300, [4, 6], ScalarType.Int64);
        var plain = decoder.Logits(decoder.Read(ids, tap: null));

        // Sequences 1 and 3 are steered, with vectors of their own; 0 and 2 are not.
        var first = table.Acquire(1, Direction(1));
        var second = table.Acquire(1, Direction(2));
        var rows = new long[24];
        rows.AsSpan(6, 6).Fill(first);
        rows.AsSpan(18, 6).Fill(second);
        var steered = decoder.Logits(decoder.Read(ids, new SteeringTap(table, new Dictionary<int, long[]> { [1] = rows })));

        foreach (var sequence in new[] { 0, 2 })
        {
            Assert.Equal(plain[sequence].Floats().ToArray(), steered[sequence].Floats().ToArray());
        }

        foreach (var sequence in new[] { 1, 3 })
        {
            Assert.NotEqual(plain[sequence].Floats().ToArray(), steered[sequence].Floats().ToArray());
        }
    }

    [Fact]
    public void What_is_added_is_the_vector_at_the_layer_asked_for()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        using var table = new SteeringTable(32);
        var direction = Direction(3);
        var rows = Enumerable.Repeat((long)table.Acquire(2, direction), 5).ToArray();
        var ids = randint(0, 300, [1, 5], ScalarType.Int64);
        var capture = new CaptureTap([2]);
        decoder.Read(ids, capture);
        var tap = new SteeringTap(table, new Dictionary<int, long[]> { [2] = rows });
        var steered = decoder.Read(ids, tap);

        var difference = (steered - capture[2]).view(-1).Floats().ToArray();
        for (var i = 0; i < difference.Length; i++)
        {
            Assert.Equal(direction[i % 32], difference[i], 4);
        }

        Assert.Equal(linalg.norm(capture[2], dims: [-1L]).view(-1).Floats().ToArray(), tap.NormsBefore(2));
    }

    [Fact]
    public void A_full_table_grows_and_keeps_its_rows()
    {
        using var table = new SteeringTable(4);
        var rows = Enumerable.Range(1, 100).Select(i => table.Acquire(0, [i, i, i, i])).ToList();
        Assert.Equal(100, rows.Distinct().Count());
        Assert.DoesNotContain(0, rows);
        var elements = table.Rows(0).Floats().ToArray();
        Assert.All(rows, row => Assert.Equal(rows.IndexOf(row) + 1, elements[row * 4]));
        Assert.All(elements[..4], element => Assert.Equal(0, element));
    }

    [Fact]
    public void A_layer_that_nobody_steers_any_more_leaves_the_table()
    {
        using var table = new SteeringTable(4);
        var row = table.Acquire(2, [1, 2, 3, 4]);
        Assert.Equal([2], table.Layers);
        table.Release(2, row);
        Assert.Empty(table.Layers);
    }

    private static float[] Direction(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, 32).Select(_ => (float)random.NextDouble())];
    }
}

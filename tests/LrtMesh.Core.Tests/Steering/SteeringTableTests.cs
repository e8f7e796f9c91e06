using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Tensors;
using LrtMesh.Core.Tests.Models;
using LrtMesh.V1;
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
        var first = table.Acquire(1, Adds(Direction(1)));
        var second = table.Acquire(1, Adds(Direction(2)));
        var rows = new long[24];
        rows.AsSpan(6, 6).Fill(first);
        rows.AsSpan(18, 6).Fill(second);
        var steered = decoder.Logits(decoder.Read(ids, new SteeringTap(table, [new SteeringLane(1, rows)])));

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
        var rows = Enumerable.Repeat((long)table.Acquire(2, Adds(direction)), 5).ToArray();
        var ids = randint(0, 300, [1, 5], ScalarType.Int64);
        var capture = new CaptureTap([2]);
        decoder.Read(ids, capture);
        var lane = new SteeringLane(2, rows);
        var tap = new SteeringTap(table, [lane]);
        var steered = decoder.Read(ids, tap);

        var difference = (steered - capture[2]).view(-1).Floats().ToArray();
        for (var i = 0; i < difference.Length; i++)
        {
            Assert.Equal(direction[i % 32], difference[i], 4);
        }

        Assert.Equal(linalg.norm(capture[2], dims: [-1L]).view(-1).Floats().ToArray(), lane.Norms(), (expected, seen) => Math.Abs(expected - seen) <= 1e-6 * expected);
    }

    [Fact]
    public void A_full_table_grows_and_keeps_its_rows()
    {
        using var table = new SteeringTable(4);
        var rows = Enumerable.Range(1, 100).Select(i => table.Acquire(0, Adds([i, i, i, i]))).ToList();
        Assert.Equal(100, rows.Distinct().Count());
        Assert.DoesNotContain(0, rows);
        var elements = table.Added(0).Floats().ToArray();
        Assert.All(rows, row => Assert.Equal(rows.IndexOf(row) + 1, elements[row * 4]));
        Assert.All(elements[..4], element => Assert.Equal(0, element));
    }

    [Fact]
    public void A_layer_that_nobody_steers_any_more_leaves_the_table()
    {
        using var table = new SteeringTable(4);
        var row = table.Acquire(2, Adds([1, 2, 3, 4]));
        Assert.Equal([2], table.Layers);
        table.Release(2, row);
        Assert.Empty(table.Layers);
    }

    [Fact]
    public void What_is_ablated_clamped_and_added_in_a_row_is_done_one_after_the_other()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var decoder = Checkpoint.Load(_checkpoint.Folder, ScalarType.Float32);
        using var table = new SteeringTable(32);
        // Sequence 0: add, ablate, clamp, add, ablate. Sequence 1: a clamp that keeps the length. Sequence 2: nothing.
        PlannedSteering[] several =
        [
            Step(1, SteeringOperator.Add), Step(2, SteeringOperator.Ablate), Step(6, SteeringOperator.Clamp) with { Projection = -1.5 },
            Step(3, SteeringOperator.Add), Step(4, SteeringOperator.Ablate),
        ];
        PlannedSteering[] one = [Step(5, SteeringOperator.Clamp) with { Projection = 2, PreservesNorm = true }];
        var (severalChange, oneChange) = (new TokenChange(several), new TokenChange(one));
        var rows = new long[15];
        rows.AsSpan(0, 5).Fill(table.Acquire(1, severalChange));
        rows.AsSpan(5, 5).Fill(table.Acquire(1, oneChange));
        var ids = randint(0, 300, [3, 5], ScalarType.Int64);
        var plain = new CaptureTap([1]);
        decoder.Read(ids, plain);
        var lane = new SteeringLane(1, rows);
        var tap = new SteeringTap(table, [lane]);
        var steered = new LastOf(tap);
        decoder.Read(ids, steered);

        var got = steered.Hidden!.Floats().ToArray();
        var before = plain[1].Floats().ToArray();
        for (var token = 0; token < 15; token++)
        {
            var expected = Array.ConvertAll(before[(token * 32)..((token + 1) * 32)], h => (double)h);
            var steps = token < 5 ? several : token < 10 ? one : [];
            var lengths = new List<double>();
            foreach (var step in steps)
            {
                var projection = expected.Zip(step.Direction, (h, u) => h * u).Sum();
                var wanted = step.Operator == SteeringOperator.Clamp ? step.Projection : 0;
                var change = step.Operator == SteeringOperator.Add ? 1 : wanted - projection;
                lengths.Add(Math.Abs(change) * Math.Sqrt(step.Direction.Sum(element => (double)element * element)));
                expected = [.. expected.Zip(step.Direction, (h, u) => h + (change * u))];
            }

            if (token is >= 5 and < 10)
            {
                var scale = Norm(before.AsSpan(token * 32, 32)) / Math.Sqrt(expected.Sum(h => h * h));
                expected = [.. expected.Select(h => h * scale)];
            }

            if (steps.Length > 0)
            {
                var measured = (token < 5 ? severalChange : oneChange).Lengths([.. lane.Projections().Select(of => of[token])]);
                Assert.All(lengths.Zip(measured), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
            }

            for (var i = 0; i < 32; i++)
            {
                Assert.Equal(expected[i], got[(token * 32) + i], 1e-5);
            }
        }

        // Beside them, who asked for nothing gets the same bits.
        Assert.Equal(before[320..], got[320..]);
    }

    [Fact]
    public void Token_by_token_and_all_at_once_are_the_same()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        using var table = new SteeringTable(32);
        var keeps = new TokenChange([Step(1, SteeringOperator.Ablate), Step(2, SteeringOperator.Add) with { PreservesNorm = true }]);
        long[] rows = [table.Acquire(1, Adds(Direction(3))), 0, table.Acquire(1, keeps), table.Acquire(1, Adds(Direction(4)))];
        var hidden = randn(2, 2, 32);
        // A condition that holds for tokens 2 and 3 alone.
        var condition = new LaneCondition(0, Direction(5), [0, 0, 0, 0], [1e9f, 0, -1e9f, 1e9f], [1, 1, 1, -1]);
        condition.Look(hidden);
        foreach (var when in new[] { null, condition })
        {
            var (here, there) = (new SteeringLane(1, rows, when), new SteeringLane(1, rows, when));
            var (one, other) = (here.Apply(table, hidden.clone()), there.ApplyThere(table, hidden));
            Assert.Equal(other.Floats().ToArray(), one.Floats().ToArray(), Near);
            Assert.Equal(hidden[0, 1].Floats().ToArray(), one[0, 1].Floats().ToArray());
            foreach (var token in new[] { 0, 2, 3 })
            {
                Assert.Equal(there.Norms()[token], here.Norms()[token], Near);
                Assert.Equal(there.Projections()[0][token], here.Projections()[0][token], Near);
            }
        }

        static bool Near(float one, float other) => Math.Abs(one - other) <= 1e-5;
    }

    [Fact]
    public void A_row_that_is_given_back_takes_nothing_out_of_the_next()
    {
        using var table = new SteeringTable(4);
        var ablation = new TokenChange([new PlannedSteering(null!, 0, PositionRule.All, SteeringOperator.Ablate, [1, 0, 0, 0])]);
        var kept = table.Acquire(0, ablation);
        var row = table.Acquire(0, ablation);
        table.Release(0, row);
        Assert.Equal(row, table.Acquire(0, Adds([1, 2, 3, 4])));
        Assert.All(table.Removed(0)[0].Floats().Slice(row * 4, 4).ToArray(), element => Assert.Equal(0, element));
        Assert.Equal(1, table.Removed(0)[0].Floats()[kept * 4]);
    }

    private static TokenChange Adds(float[] delta) => new([new PlannedSteering(null!, 0, PositionRule.All, SteeringOperator.Add, delta)]);

    private static PlannedSteering Step(int seed, SteeringOperator steeringOperator)
    {
        var direction = Direction(seed);
        var length = steeringOperator == SteeringOperator.Add ? 1 : Norm(direction);
        return new PlannedSteering(null!, 1, PositionRule.All, steeringOperator, Array.ConvertAll(direction, element => (float)(element / length)));
    }

    private static double Norm(ReadOnlySpan<float> elements) => Math.Sqrt(elements.ToArray().Sum(element => (double)element * element));

    /// <summary>Keeps what another tap makes of layer 1.</summary>
    private sealed class LastOf(Tap inner) : Tap
    {
        public TorchSharp.torch.Tensor? Hidden { get; private set; }

        public override TorchSharp.torch.Tensor AfterBlock(int layer, TorchSharp.torch.Tensor hidden)
        {
            var changed = inner.AfterBlock(layer, hidden);
            Hidden = layer == 1 ? changed : Hidden;
            return changed;
        }
    }

    private static float[] Direction(int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, 32).Select(_ => (float)random.NextDouble())];
    }
}

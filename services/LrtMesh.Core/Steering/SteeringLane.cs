using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace LrtMesh.Core.Steering;

/// <summary>
/// One steering of a pass at one layer: a row of the table for each token, and what is needed to prove what it did. Steering without a
/// condition is one lane a layer; each condition of a token is in a lane of its own, since whether it holds is known during the pass.
/// </summary>
/// <param name="layer">The layer steered.</param>
/// <param name="rows">The table's row of each token, [batch·seq].</param>
/// <param name="condition">Which of the tokens' conditions hold; null: there are none.</param>
public sealed class SteeringLane(int layer, long[] rows, LaneCondition? condition = null)
{
    private float[] _norms = [];
    private float[][] _projections = [];
    private Tensor? _normsThere; // where the model is on a GPU, until they are asked for
    private Tensor[] _projectionsThere = [];

    /// <summary>The layer steered.</summary>
    public int Layer => layer;

    /// <summary>The table's row of each token, [batch·seq].</summary>
    public IReadOnlyList<long> Rows => rows;

    /// <summary>Which of the tokens' conditions hold; null: there are none.</summary>
    public LaneCondition? Condition => condition;

    /// <summary>Lengths of the hidden states before the change, [batch·seq]; of a token in row 0 any.</summary>
    public float[] Norms() => _normsThere?.cpu().Floats().ToArray() ?? _norms;

    /// <summary>For each table of directions taken out, the projections of the hidden states on them, [batch·seq].</summary>
    public float[][] Projections() =>
        _normsThere is null ? _projections : [.. _projectionsThere.Select(projections => projections.cpu().Floats().ToArray())];

    /// <summary>Steers the layer's output, on a CPU in place.</summary>
    /// <param name="table">The table.</param>
    /// <param name="hidden">[batch, seq, width], contiguous.</param>
    public Tensor Apply(SteeringTable table, Tensor hidden)
    {
        if (hidden.device_type != TorchSharp.DeviceType.CPU)
        {
            return ApplyThere(table, hidden);
        }

        ApplyHere(table, hidden.Floats(), (int)hidden.size(-1));
        return hidden;
    }

    /// <summary>Token by token: a dozen of torch's operators a layer would be a tenth of a step that decodes one token.</summary>
    private void ApplyHere(SteeringTable table, Span<float> hidden, int width)
    {
        _norms = new float[rows.Length];
        var added = table.Added(layer).Floats();
        var removed = table.Removed(layer);
        _projections = [.. removed.Select(_ => new float[rows.Length])];
        var preserved = table.Preserved(layer) is { } those ? those.Floats() : [];
        var holds = condition is null ? [] : MemoryMarshal.Cast<byte, long>(condition.Holds.bytes);
        for (var token = 0; token < rows.Length; token++)
        {
            if (rows[token] == 0)
            {
                continue;
            }

            var state = hidden.Slice(token * width, width);
            _norms[token] = TensorPrimitives.Norm<float>(state);
            var row = (int)(condition is null ? rows[token] : rows[token] * holds[token]);
            if (row == 0)
            {
                continue;
            }

            for (var i = 0; i < removed.Count; i++)
            {
                var direction = removed[i].Floats().Slice(row * width, width);
                var projection = _projections[i][token] = TensorPrimitives.Dot<float>(state, direction);
                TensorPrimitives.MultiplyAdd(direction, -projection, state, state);
            }

            TensorPrimitives.Add(state, added.Slice(row * width, width), state);
            if (!preserved.IsEmpty && preserved[row] > 0)
            {
                TensorPrimitives.Multiply(state, _norms[token] / Math.Max(TensorPrimitives.Norm<float>(state), float.Epsilon), state);
            }
        }
    }

    /// <summary>All tokens at once: a gather and an add, and what taking out and keeping lengths need.</summary>
    internal Tensor ApplyThere(SteeringTable table, Tensor hidden)
    {
        var before = linalg.norm(hidden, dims: [-1L], keepdim: true); // [batch, seq, 1]
        _normsThere = before.flatten();
        var at = tensor(rows, ScalarType.Int64, hidden.device);
        at = condition is null ? at : at * condition.Holds;
        var removed = table.Removed(layer);
        _projectionsThere = new Tensor[removed.Count];
        for (var i = 0; i < removed.Count; i++)
        {
            var direction = removed[i].index_select(0, at).view(hidden.shape); // [batch, seq, width]
            var projection = (hidden * direction).sum(-1, keepdim: true); // [batch, seq, 1]
            _projectionsThere[i] = projection.flatten();
            hidden = hidden - (projection * direction);
        }

        hidden = hidden.add(table.Added(layer).index_select(0, at).view(hidden.shape), Number.One); // [batch, seq, width]
        if (table.Preserved(layer) is { } preserved)
        {
            // A token of another row is multiplied by exactly 1.
            var after = linalg.norm(hidden, dims: [-1L], keepdim: true).clamp_min(Number.Of(float.Epsilon));
            var scaled = preserved.index_select(0, at).view(before.shape).gt(Number.Of(0));
            hidden = hidden * where(scaled, before / after, ones_like(before));
        }

        return hidden;
    }
}

/// <summary>The conditions of a lane's tokens, all looked at in one layer's output.</summary>
/// <param name="layer">That layer.</param>
/// <param name="probes">Unit directions, one after the other, [probes, width].</param>
/// <param name="probe">Which probe each token has, [batch·seq]; any where it has none.</param>
/// <param name="thresholds">[batch·seq].</param>
/// <param name="signs">1: holds from the threshold on; −1: below it. [batch·seq].</param>
public sealed class LaneCondition(int layer, float[] probes, long[] probe, float[] thresholds, float[] signs)
{
    /// <summary>The layer that is looked at.</summary>
    public int Layer => layer;

    /// <summary>1 where a token's condition holds, otherwise 0, [batch·seq]; known once <see cref="Look"/> has run.</summary>
    public Tensor Holds { get; private set; } = null!;

    /// <summary>Looks at the layer's output.</summary>
    /// <param name="hidden">[batch, seq, width].</param>
    public void Look(Tensor hidden)
    {
        var width = hidden.size(-1);
        var directions = tensor(probes, probes.Length / width, width, device: hidden.device).index_select(0, tensor(probe, ScalarType.Int64, hidden.device));
        var projections = (hidden.reshape(-1, width) * directions).sum(-1).cpu().Floats(); // [batch·seq]
        var holds = new long[projections.Length];
        for (var token = 0; token < holds.Length; token++)
        {
            var beyond = projections[token] - thresholds[token];
            holds[token] = (signs[token] > 0 ? beyond >= 0 : beyond < 0) ? 1 : 0;
        }

        Holds = tensor(holds, device: hidden.device);
    }
}

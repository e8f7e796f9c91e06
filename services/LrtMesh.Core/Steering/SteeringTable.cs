using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Core.Steering;

/// <summary>
/// What a running batch adds to its hidden states: for each steered layer a table [rows, width] whose row 0 is all zeros, and
/// for each token an index into it. However many vectors a batch holds, a layer costs one gather and one add, and an unsteered
/// token gets + 0, which changes no bit. Lives on the model thread.
/// </summary>
public sealed class SteeringTable(int width) : IDisposable
{
    private const int InitialRows = 16;

    private readonly Dictionary<int, LayerTable> _layers = [];

    /// <summary>Writes what is added to tokens into a free row.</summary>
    /// <param name="layer">The steered layer.</param>
    /// <param name="delta">[width].</param>
    /// <returns>The row; given back with <see cref="Release"/>.</returns>
    public int Acquire(int layer, ReadOnlySpan<float> delta)
    {
        if (!_layers.TryGetValue(layer, out var table))
        {
            _layers[layer] = table = new LayerTable(width);
        }

        return table.Acquire(delta);
    }

    /// <summary>Gives a row back.</summary>
    public void Release(int layer, int row)
    {
        if (_layers[layer].Release(row))
        {
            _layers[layer].Dispose();
            _layers.Remove(layer);
        }
    }

    /// <summary>The layers that somebody steers.</summary>
    public IReadOnlyCollection<int> Layers => _layers.Keys;

    /// <summary>The table of a layer, [rows, width].</summary>
    public Tensor Rows(int layer) => _layers[layer].Rows;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var table in _layers.Values)
        {
            table.Dispose();
        }

        _layers.Clear();
    }

    private sealed class LayerTable(int width) : IDisposable
    {
        private readonly Stack<int> _free = new(Enumerable.Range(1, InitialRows - 1).Reverse());
        private int _used;

        public Tensor Rows { get; private set; } = zeros(InitialRows, width).DetachFromDisposeScope();

        public int Acquire(ReadOnlySpan<float> delta)
        {
            if (_free.Count == 0)
            {
                Grow();
            }

            var row = _free.Pop();
            _used++;
            delta.CopyTo(Rows.Floats().Slice(row * width, width));
            return row;
        }

        /// <summary>True if no row is in use any more.</summary>
        public bool Release(int row)
        {
            _free.Push(row);
            return --_used == 0;
        }

        public void Dispose() => Rows.Dispose();

        private void Grow()
        {
            var old = Rows;
            var rows = (int)old.size(0);
            var grown = zeros(2 * rows, width);
            using (var part = grown.narrow(0, 0, rows))
            {
                part.copy_(old).Dispose();
            }

            Rows = grown.DetachFromDisposeScope();
            old.Dispose();
            for (var row = (2 * rows) - 1; row >= rows; row--)
            {
                _free.Push(row);
            }
        }
    }
}

/// <summary>Adds a batch's rows of the steering table, and keeps the lengths of the hidden states before it, as proof.</summary>
/// <param name="table">The table.</param>
/// <param name="rows">For each steered layer the row of each token, [batch·seq].</param>
public sealed class SteeringTap(SteeringTable table, IReadOnlyDictionary<int, long[]> rows) : Tap
{
    private readonly Dictionary<int, Tensor> _norms = [];

    /// <summary>Lengths of a steered layer's hidden states before the change, [batch·seq].</summary>
    public float[] NormsBefore(int layer) => _norms[layer].Floats().ToArray();

    /// <inheritdoc/>
    public override Tensor AfterBlock(int layer, Tensor hidden)
    {
        if (!rows.TryGetValue(layer, out var index))
        {
            return hidden;
        }

        _norms[layer] = linalg.norm(hidden, dims: [-1L]).flatten();
        return hidden + table.Rows(layer).index_select(0, tensor(index, ScalarType.Int64)).view(hidden.shape); // [batch, seq, width]
    }
}

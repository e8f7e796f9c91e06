using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Core.Steering;

/// <summary>
/// What a running batch does to its hidden states: for each steered layer a table [rows, width] of what is added, whose row 0 is
/// all zeros, and for each token an index into it. However many vectors a batch holds, a layer costs one gather and one add, and an
/// unsteered token gets + 0, which changes no bit. Where tokens have directions taken out, there is a second table of those, and a
/// third where one token has two, with the same rows; a row of zeros there takes nothing out. Lives on the model thread.
/// </summary>
public sealed class SteeringTable(int width) : IDisposable
{
    private const int InitialRows = 16;

    private readonly Dictionary<int, LayerTable> _layers = [];

    /// <summary>Writes what is done to tokens into a free row.</summary>
    /// <param name="layer">The steered layer.</param>
    /// <param name="change">What is done.</param>
    /// <returns>The row; given back with <see cref="Release"/>.</returns>
    public int Acquire(int layer, TokenChange change)
    {
        if (!_layers.TryGetValue(layer, out var table))
        {
            _layers[layer] = table = new LayerTable(width);
        }

        return table.Acquire(change);
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

    /// <summary>What is added at a layer, [rows, width].</summary>
    public Tensor Added(int layer) => _layers[layer].Added;

    /// <summary>Unit directions that are taken out at a layer, one table after the other, each [rows, width].</summary>
    public IReadOnlyList<Tensor> Removed(int layer) => _layers[layer].Removed;

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
        private readonly List<Tensor> _removed = [];
        private int _used;

        public Tensor Added { get; private set; } = zeros(InitialRows, width).DetachFromDisposeScope();

        public IReadOnlyList<Tensor> Removed => _removed;

        public int Acquire(TokenChange change)
        {
            if (_free.Count == 0)
            {
                Grow();
            }

            while (_removed.Count < change.Removed.Count)
            {
                _removed.Add(zeros(Added.size(0), width).DetachFromDisposeScope());
            }

            var row = _free.Pop();
            _used++;
            change.Added.CopyTo(Row(Added, row));
            for (var i = 0; i < _removed.Count; i++)
            {
                // The row may hold what was taken out of somebody else's token.
                Row(_removed[i], row).Clear();
                if (i < change.Removed.Count)
                {
                    change.Removed[i].CopyTo(Row(_removed[i], row));
                }
            }

            return row;
        }

        /// <summary>True if no row is in use any more.</summary>
        public bool Release(int row)
        {
            _free.Push(row);
            return --_used == 0;
        }

        public void Dispose()
        {
            Added.Dispose();
            _removed.ForEach(table => table.Dispose());
        }

        private Span<float> Row(Tensor table, int row) => table.Floats().Slice(row * width, width);

        private void Grow()
        {
            var rows = (int)Added.size(0);
            Added = Grown(Added);
            for (var i = 0; i < _removed.Count; i++)
            {
                _removed[i] = Grown(_removed[i]);
            }

            for (var row = (2 * rows) - 1; row >= rows; row--)
            {
                _free.Push(row);
            }
        }

        private Tensor Grown(Tensor old)
        {
            var rows = old.size(0);
            var grown = zeros(2 * rows, width).DetachFromDisposeScope();
            using (var part = grown.narrow(0, 0, rows))
            {
                part.copy_(old).Dispose();
            }

            old.Dispose();
            return grown;
        }
    }
}

/// <summary>Steers a batch by its rows of the steering table, and keeps what is needed to prove it.</summary>
/// <param name="table">The table.</param>
/// <param name="rows">For each steered layer the row of each token, [batch·seq].</param>
public sealed class SteeringTap(SteeringTable table, IReadOnlyDictionary<int, long[]> rows) : Tap
{
    private readonly Dictionary<int, Tensor> _norms = [];
    private readonly Dictionary<int, Tensor[]> _projections = [];

    /// <summary>Lengths of a steered layer's hidden states before the change, [batch·seq].</summary>
    public float[] NormsBefore(int layer) => _norms[layer].Floats().ToArray();

    /// <summary>For each table of directions taken out at a layer, the projections of the hidden states on them, [batch·seq].</summary>
    public float[][] Projections(int layer) => [.. _projections[layer].Select(projections => projections.Floats().ToArray())];

    /// <inheritdoc/>
    public override Tensor AfterBlock(int layer, Tensor hidden)
    {
        if (!rows.TryGetValue(layer, out var index))
        {
            return hidden;
        }

        _norms[layer] = linalg.norm(hidden, dims: [-1L]).flatten();
        var at = tensor(index, ScalarType.Int64);
        var removed = table.Removed(layer);
        _projections[layer] = new Tensor[removed.Count];
        for (var i = 0; i < removed.Count; i++)
        {
            var direction = removed[i].index_select(0, at).view(hidden.shape); // [batch, seq, width]
            var projection = (hidden * direction).sum(-1, keepdim: true); // [batch, seq, 1]
            _projections[layer][i] = projection.flatten();
            hidden = hidden - (projection * direction);
        }

        return hidden + table.Added(layer).index_select(0, at).view(hidden.shape); // [batch, seq, width]
    }
}

using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Core.Steering;

/// <summary>
/// What a running batch does to its hidden states: for each steered layer a table [rows, width] of what is added, whose row 0 is
/// all zeros, and for each token an index into it. However many vectors a batch holds, a layer costs one gather and one add, and an
/// unsteered token gets + 0, which changes no bit. Where tokens have directions taken out, there is a second table of those, and a
/// third where one token has two, with the same rows; a row of zeros there takes nothing out. Where tokens keep their length, one
/// more says which. Lives on the model thread.
/// </summary>
/// <param name="width">Of the model.</param>
/// <param name="device">Where the model is; null: on the CPU.</param>
public sealed class SteeringTable(int width, Device? device = null) : IDisposable
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
            _layers[layer] = table = new LayerTable(width, device ?? CPU);
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

    /// <summary>1 for the rows at a layer whose outcome is scaled back to the length before, 0 for others, [rows, 1]; null: there are none.</summary>
    public Tensor? Preserved(int layer) => _layers[layer].Preserved;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var table in _layers.Values)
        {
            table.Dispose();
        }

        _layers.Clear();
    }

    private sealed class LayerTable(int width, Device device) : IDisposable
    {
        private readonly Stack<int> _free = new(Enumerable.Range(1, InitialRows - 1).Reverse());
        private readonly List<Tensor> _removed = [];
        private int _used;

        public Tensor Added { get; private set; } = zeros(InitialRows, width, device: device).DetachFromDisposeScope();

        public IReadOnlyList<Tensor> Removed => _removed;

        public Tensor? Preserved { get; private set; }

        public int Acquire(TokenChange change)
        {
            if (_free.Count == 0)
            {
                Grow();
            }

            while (_removed.Count < change.Removed.Count)
            {
                _removed.Add(zeros(Added.size(0), width, device: device).DetachFromDisposeScope());
            }

            var row = _free.Pop();
            _used++;
            Write(Added, row, change.Added);
            for (var i = 0; i < _removed.Count; i++)
            {
                // The row may hold what was taken out of somebody else's token.
                Write(_removed[i], row, i < change.Removed.Count ? change.Removed[i] : new float[width]);
            }

            if (change.PreservesNorm && Preserved is null)
            {
                Preserved = zeros(Added.size(0), 1, device: device).DetachFromDisposeScope();
            }

            if (Preserved is not null)
            {
                Write(Preserved, row, [change.PreservesNorm ? 1 : 0]);
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
            Preserved?.Dispose();
        }

        private static void Write(Tensor table, int row, float[] values)
        {
            if (table.device_type == TorchSharp.DeviceType.CPU)
            {
                values.CopyTo(table.Floats()[(row * values.Length)..]);
                return;
            }

            using var target = table[row];
            using var source = tensor(values);
            target.copy_(source).Dispose();
        }

        private void Grow()
        {
            var rows = (int)Added.size(0);
            Added = Grown(Added);
            for (var i = 0; i < _removed.Count; i++)
            {
                _removed[i] = Grown(_removed[i]);
            }

            Preserved = Preserved is null ? null : Grown(Preserved);

            for (var row = (2 * rows) - 1; row >= rows; row--)
            {
                _free.Push(row);
            }
        }

        private static Tensor Grown(Tensor old)
        {
            var rows = old.size(0);
            var grown = zeros(2 * rows, old.size(1), device: old.device).DetachFromDisposeScope();
            using (var part = grown.narrow(0, 0, rows))
            {
                part.copy_(old).Dispose();
            }

            old.Dispose();
            return grown;
        }
    }
}

using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// Keys and values of the live sequences, one slot each. A position is visible to the tokens at and after it, and is
/// written before it is first seen, so what a slot held before needs no clearing.
/// </summary>
public sealed class KvCache : IDisposable
{
    private readonly ModelConfig _config;
    private readonly ScalarType _dtype;
    private readonly Device _device;
    private Tensor[] _keys;
    private Tensor[] _values;

    /// <summary>Takes memory for <paramref name="slots"/> sequences of <paramref name="capacity"/> tokens.</summary>
    /// <param name="config">The model.</param>
    /// <param name="slots">Sequences.</param>
    /// <param name="capacity">Tokens of each.</param>
    /// <param name="dtype">Of keys and values.</param>
    /// <param name="device">Where the model is; null: on the CPU.</param>
    public KvCache(ModelConfig config, int slots, int capacity, ScalarType dtype, Device? device = null)
    {
        _device = device ?? CPU;
        _config = config;
        _dtype = dtype;
        Slots = slots;
        Capacity = capacity;
        _keys = [.. Enumerable.Range(0, config.Layers).Select(_ => Allocate(slots, capacity))];
        _values = [.. Enumerable.Range(0, config.Layers).Select(_ => Allocate(slots, capacity))];
    }

    /// <summary>Sequences that fit.</summary>
    public int Slots { get; private set; }

    /// <summary>Tokens that fit in a slot.</summary>
    public int Capacity { get; private set; }

    /// <summary>One tensor a layer, [slots, capacity, kv_heads, head].</summary>
    public IReadOnlyList<Tensor> Keys => _keys;

    /// <summary>One tensor a layer, [slots, capacity, kv_heads, head].</summary>
    public IReadOnlyList<Tensor> Values => _values;

    /// <summary>Memory of one token of one sequence, in bytes.</summary>
    public static long BytesPerToken(ModelConfig config, int elementSize) => 2L * config.Layers * config.KvHeads * config.HeadWidth * elementSize;

    /// <summary>Copies the first <paramref name="length"/> positions of one slot to another, so that live slots stay side by side.</summary>
    public void Move(int from, int to, int length)
    {
        using var scope = NewDisposeScope();
        foreach (var tensor in _keys.Concat(_values))
        {
            tensor[to].narrow(0, 0, length).copy_(tensor[from].narrow(0, 0, length));
        }
    }

    /// <summary>Exchanges the first positions of two slots.</summary>
    public void Swap(int one, int oneLength, int other, int otherLength)
    {
        using var scope = NewDisposeScope();
        var kept = Save(one, 0, oneLength);
        Move(other, one, otherLength);
        Load(kept, oneLength, other, 0);
        kept.Dispose();
    }

    /// <summary>A copy of some positions of a slot, [2·layers, length, kv_heads, head]: of each layer the keys and then the values.</summary>
    public Tensor Save(int slot, int start, int length)
    {
        using var scope = NewDisposeScope();
        return stack(_keys.Zip(_values).SelectMany(both => new[] { Positions(both.First), Positions(both.Second) })).DetachFromDisposeScope();

        Tensor Positions(Tensor layer) => layer[slot].narrow(0, start, length);
    }

    /// <summary>Copies the first <paramref name="length"/> positions of what was saved into a slot, from <paramref name="start"/> on.</summary>
    public void Load(Tensor saved, int length, int slot, int start)
    {
        using var scope = NewDisposeScope();
        var parts = saved.narrow(1, 0, length).unbind(0);
        for (var layer = 0; layer < _keys.Length; layer++)
        {
            _keys[layer][slot].narrow(0, start, length).copy_(parts[2 * layer]);
            _values[layer][slot].narrow(0, start, length).copy_(parts[(2 * layer) + 1]);
        }
    }

    /// <summary>Makes it this large, more or less than before, and keeps what still fits of the first slots.</summary>
    public void Resize(int slots, int capacity)
    {
        var (keptSlots, keptTokens) = (Math.Min(slots, Slots), Math.Min(capacity, Capacity));
        _keys = Moved(_keys);
        _values = Moved(_values);
        (Slots, Capacity) = (slots, capacity);

        Tensor[] Moved(Tensor[] old)
        {
            var grown = new Tensor[old.Length];
            for (var layer = 0; layer < old.Length; layer++) // one layer at a time, so that little is held twice
            {
                using var scope = NewDisposeScope();
                grown[layer] = Allocate(slots, capacity);
                grown[layer].narrow(0, 0, keptSlots).narrow(1, 0, keptTokens).copy_(old[layer].narrow(0, 0, keptSlots).narrow(1, 0, keptTokens));
                old[layer].Dispose();
            }

            return grown;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in _keys.Concat(_values))
        {
            tensor.Dispose();
        }
    }

    /// <summary>Zeros, not what was in memory: a position not written yet has weight 0, and 0 times NaN is NaN.</summary>
    private Tensor Allocate(int slots, int capacity) =>
        zeros([slots, capacity, _config.KvHeads, _config.HeadWidth], _dtype, _device).DetachFromDisposeScope();
}

using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// Keys and values of the live sequences, one slot each. A position is visible to the tokens at and after it, and is
/// written before it is first seen, so what a slot held before needs no clearing.
/// </summary>
public sealed class KvCache : IDisposable
{
    /// <summary>Takes memory for <paramref name="slots"/> sequences.</summary>
    public KvCache(ModelConfig config, int slots, int capacity, ScalarType dtype)
    {
        Slots = slots;
        Capacity = capacity;
        long[] shape = [slots, capacity, config.KvHeads, config.HeadWidth];
        Keys = [.. Enumerable.Range(0, config.Layers).Select(_ => zeros(shape, dtype).DetachFromDisposeScope())];
        Values = [.. Enumerable.Range(0, config.Layers).Select(_ => zeros(shape, dtype).DetachFromDisposeScope())];
    }

    /// <summary>Sequences that fit.</summary>
    public int Slots { get; }

    /// <summary>Tokens that fit in a slot.</summary>
    public int Capacity { get; }

    /// <summary>One tensor a layer, [slots, capacity, kv_heads, head].</summary>
    public IReadOnlyList<Tensor> Keys { get; }

    /// <summary>One tensor a layer, [slots, capacity, kv_heads, head].</summary>
    public IReadOnlyList<Tensor> Values { get; }

    /// <summary>Copies the first <paramref name="length"/> positions of one slot to another, so that live slots stay side by side.</summary>
    public void Move(int from, int to, int length)
    {
        foreach (var tensor in Keys.Concat(Values))
        {
            using var source = tensor[from].narrow(0, 0, length);
            using var destination = tensor[to].narrow(0, 0, length);
            destination.copy_(source).Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in Keys.Concat(Values))
        {
            tensor.Dispose();
        }
    }
}

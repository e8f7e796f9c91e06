namespace LrtMesh.Core.Maps;

/// <summary>
/// A bounded sample of the held-out fold's rows, for what moments cannot give (cosines). Row number k has the priority of a
/// hash of k; the rows of least priority are kept, whatever the order in which samples are merged.
/// </summary>
public sealed class HeldOutSample
{
    /// <summary>Most rows kept, unless the accumulator says otherwise.</summary>
    public const int DefaultCapacity = 4096;

    private readonly IReadOnlyList<int> _widths;
    private readonly int _capacity;
    private readonly PriorityQueue<int, ulong> _slots = new(Comparer<ulong>.Create((a, b) => b.CompareTo(a))); // greatest priority first
    private readonly float[][] _rows; // of each layer [at least Rows, d]

    internal HeldOutSample(IReadOnlyList<int> widths, int capacity)
    {
        (_widths, _capacity) = (widths, capacity);
        _rows = [.. widths.Select(_ => Array.Empty<float>())];
    }

    /// <summary>Rows kept.</summary>
    public int Rows => _slots.Count;

    /// <summary>Rows looked at; a row's number decides whether it is kept.</summary>
    internal ulong Seen { get; private set; }

    /// <summary>Kept rows of a layer, [rows, d].</summary>
    public ReadOnlySpan<float> Layer(int layer) => _rows[layer].AsSpan(0, Rows * _widths[layer]);

    /// <summary>Priority of each kept row.</summary>
    internal ulong[] Priorities()
    {
        var priorities = new ulong[Rows];
        foreach (var (slot, priority) in _slots.UnorderedItems)
        {
            priorities[slot] = priority;
        }

        return priorities;
    }

    internal void Add(ReadOnlySpan<ReadOnlyMemory<float>> layers)
    {
        for (var row = 0; row < layers[0].Length / _widths[0]; row++)
        {
            if (Take(Mix(++Seen)) is { } slot)
            {
                for (var i = 0; i < _rows.Length; i++)
                {
                    Put(slot, i, layers[i].Span.Slice(row * _widths[i], _widths[i]));
                }
            }
        }
    }

    internal void Add(HeldOutSample other)
    {
        foreach (var (from, priority) in other._slots.UnorderedItems)
        {
            if (Take(priority) is { } slot)
            {
                for (var i = 0; i < _rows.Length; i++)
                {
                    Put(slot, i, other._rows[i].AsSpan(from * _widths[i], _widths[i]));
                }
            }
        }

        Seen += other.Seen;
    }

    /// <summary>Puts back what was saved: rows in their slots.</summary>
    internal void Restore(ulong seen, ReadOnlySpan<ulong> priorities, float[][] rows)
    {
        Seen = seen;
        for (var slot = 0; slot < priorities.Length; slot++)
        {
            _slots.Enqueue(slot, priorities[slot]);
        }

        rows.CopyTo(_rows, 0);
    }

    /// <summary>The mixing function of SplitMix64.</summary>
    internal static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    /// <summary>The slot for a row of this priority, or null if it is not kept.</summary>
    private int? Take(ulong priority)
    {
        if (Rows < _capacity)
        {
            var slot = Rows;
            _slots.Enqueue(slot, priority);
            return slot;
        }

        if (!_slots.TryPeek(out var worst, out var greatest) || priority >= greatest)
        {
            return null;
        }

        _slots.DequeueEnqueue(worst, priority);
        return worst;
    }

    private void Put(int slot, int layer, ReadOnlySpan<float> row)
    {
        if ((slot + 1) * row.Length > _rows[layer].Length)
        {
            Array.Resize(ref _rows[layer], Math.Min(_capacity, Math.Max(64, 2 * slot)) * row.Length);
        }

        row.CopyTo(_rows[layer].AsSpan(slot * row.Length));
    }
}

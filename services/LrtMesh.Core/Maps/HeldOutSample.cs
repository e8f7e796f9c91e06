namespace LrtMesh.Core.Maps;

/// <summary>
/// A bounded sample of the held-out fold's rows, for what moments cannot give (cosines). Row number k has the priority of a
/// hash of k; the rows of least priority are kept, whatever the order in which samples are merged.
/// </summary>
public sealed class HeldOutSample
{
    /// <summary>Most rows kept.</summary>
    public const int Capacity = 4096;

    private readonly int _sourceWidth;
    private readonly int _targetWidth;
    private readonly PriorityQueue<int, ulong> _slots = new(Comparer<ulong>.Create((a, b) => b.CompareTo(a))); // greatest priority first
    private float[] _x = [];
    private float[] _y = [];
    private ulong _seen;

    internal HeldOutSample(int sourceWidth, int targetWidth) => (_sourceWidth, _targetWidth) = (sourceWidth, targetWidth);

    /// <summary>Rows kept.</summary>
    public int Rows => _slots.Count;

    /// <summary>Kept source rows, [rows, ds].</summary>
    public ReadOnlySpan<float> X => _x.AsSpan(0, Rows * _sourceWidth);

    /// <summary>Kept target rows, [rows, dt].</summary>
    public ReadOnlySpan<float> Y => _y.AsSpan(0, Rows * _targetWidth);

    internal void Add(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        for (var row = 0; row < x.Length / _sourceWidth; row++)
        {
            Add(Mix(++_seen), x.Slice(row * _sourceWidth, _sourceWidth), y.Slice(row * _targetWidth, _targetWidth));
        }
    }

    internal void Add(HeldOutSample other)
    {
        foreach (var (slot, priority) in other._slots.UnorderedItems)
        {
            Add(priority, other._x.AsSpan(slot * _sourceWidth, _sourceWidth), other._y.AsSpan(slot * _targetWidth, _targetWidth));
        }

        _seen += other._seen;
    }

    /// <summary>The mixing function of SplitMix64.</summary>
    internal static ulong Mix(ulong value)
    {
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }

    private void Add(ulong priority, ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        var slot = Rows;
        if (slot < Capacity)
        {
            _slots.Enqueue(slot, priority);
            if (Rows * _sourceWidth > _x.Length)
            {
                var rows = Math.Min(Capacity, Math.Max(64, 2 * slot));
                Array.Resize(ref _x, rows * _sourceWidth);
                Array.Resize(ref _y, rows * _targetWidth);
            }
        }
        else
        {
            _slots.TryPeek(out slot, out var greatest);
            if (priority >= greatest)
            {
                return;
            }

            _slots.DequeueEnqueue(slot, priority);
        }

        x.CopyTo(_x.AsSpan(slot * _sourceWidth));
        y.CopyTo(_y.AsSpan(slot * _targetWidth));
    }
}

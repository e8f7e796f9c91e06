namespace LrtMesh.Core.Store;

/// <summary>The records read last, up to a number of bytes; a record goes when others have been used since and room is needed.</summary>
internal sealed class RecordCache<T>(long capacityBytes)
    where T : class
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Entry>> _entries = new(StringComparer.Ordinal);
    private readonly LinkedList<Entry> _recent = new();
    private long _bytes;

    /// <summary>The record last known under a name, whether or not it is still the stored one.</summary>
    public T? Find(string name)
    {
        lock (_lock)
        {
            return Touch(name)?.Record;
        }
    }

    /// <summary>The record of a name if it is of this write.</summary>
    public T? Find(string name, string write)
    {
        lock (_lock)
        {
            return Touch(name) is { } entry && entry.Write == write ? entry.Record : null;
        }
    }

    public void Set(string name, string write, T record, long bytes)
    {
        lock (_lock)
        {
            Drop(name);
            if (bytes > capacityBytes)
            {
                return;
            }

            while (_bytes + bytes > capacityBytes)
            {
                Drop(_recent.Last!.Value.Name);
            }

            _entries[name] = _recent.AddFirst(new Entry(name, write, record, bytes));
            _bytes += bytes;
        }
    }

    public void Remove(string name)
    {
        lock (_lock)
        {
            Drop(name);
        }
    }

    private Entry? Touch(string name)
    {
        if (!_entries.TryGetValue(name, out var node))
        {
            return null;
        }

        _recent.Remove(node);
        _recent.AddFirst(node);
        return node.Value;
    }

    private void Drop(string name)
    {
        if (_entries.Remove(name, out var node))
        {
            _recent.Remove(node);
            _bytes -= node.Value.Bytes;
        }
    }

    private sealed record Entry(string Name, string Write, T Record, long Bytes);
}

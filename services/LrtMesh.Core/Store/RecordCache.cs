namespace LrtMesh.Core.Store;

/// <summary>The records read last, up to a number of bytes; a record goes when others have been used since and room is needed.</summary>
internal sealed class RecordCache<T>(long capacityBytes)
    where T : class
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, LinkedListNode<Entry>> _entries = new(StringComparer.Ordinal);
    private readonly LinkedList<Entry> _recent = new();
    private long _bytes;

    /// <summary>The record last known under a key, whether or not it is still the stored one.</summary>
    public T? Find(string key)
    {
        lock (_lock)
        {
            return Touch(key)?.Record;
        }
    }

    /// <summary>The record of a key if it is of this write.</summary>
    public T? Find(string key, string write)
    {
        lock (_lock)
        {
            return Touch(key) is { } entry && entry.Write == write ? entry.Record : null;
        }
    }

    public void Set(string key, string write, T record, long bytes)
    {
        lock (_lock)
        {
            Drop(key);
            if (bytes > capacityBytes)
            {
                return;
            }

            while (_bytes + bytes > capacityBytes)
            {
                Drop(_recent.Last!.Value.Key);
            }

            _entries[key] = _recent.AddFirst(new Entry(key, write, record, bytes));
            _bytes += bytes;
        }
    }

    public void Remove(string key)
    {
        lock (_lock)
        {
            Drop(key);
        }
    }

    private Entry? Touch(string key)
    {
        if (!_entries.TryGetValue(key, out var node))
        {
            return null;
        }

        _recent.Remove(node);
        _recent.AddFirst(node);
        return node.Value;
    }

    private void Drop(string key)
    {
        if (_entries.Remove(key, out var node))
        {
            _recent.Remove(node);
            _bytes -= node.Value.Bytes;
        }
    }

    private sealed record Entry(string Key, string Write, T Record, long Bytes);
}

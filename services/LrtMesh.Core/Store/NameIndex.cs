using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>
/// The names of all records of a kind that a tenant has, in byte order. It lies in another slot of a Redis Cluster than the records, so no transaction
/// covers both. A name is added before its record is written and again after; whoever finds a name without a record removes
/// it, looks once more, and adds it back if a record has come meanwhile. So a record that is there is always listed.
/// </summary>
internal sealed class NameIndex(RedisLink link, TenantKeys keys, string kind, Order order)
{
    private const int DefaultPage = 100;
    private const int MaxPage = 1000;

    private readonly RedisKey _key = $"{keys.Root}{{{kind}s}}:names";

    /// <summary>Where it lies.</summary>
    public RedisKey Key => _key;

    public Task AddAsync(string name, CancellationToken ct) =>
        link.RunAsync($"{kind} \"{name}\"", db => db.SortedSetAddAsync(_key, name, 0), ct);

    /// <summary>Removes a name whose record is gone.</summary>
    /// <param name="name">The name.</param>
    /// <param name="record">Key of the record.</param>
    /// <param name="ct">Stops the wait.</param>
    public async Task RemoveAsync(string name, RedisKey record, CancellationToken ct)
    {
        var back = await link.RunAsync(
            $"{kind} \"{name}\"",
            async db =>
            {
                await db.SortedSetRemoveAsync(_key, name);
                return await db.KeyExistsAsync(record);
            },
            ct);
        if (back)
        {
            await AddAsync(name, ct);
        }
    }

    /// <summary>Reads a page of records, and mends the index where one is gone.</summary>
    /// <param name="prefix">What the names start with.</param>
    /// <param name="pageSize">Records at most; 0 means 100, at most 1000.</param>
    /// <param name="pageToken">The last name of the page before; empty for the first.</param>
    /// <param name="keyOf">Key of a record.</param>
    /// <param name="read">Reads a record; null if it is gone.</param>
    /// <param name="ct">Stops the wait.</param>
    public async Task<Page<T>> ListAsync<T>(
        string prefix, int pageSize, string pageToken, Func<string, RedisKey> keyOf, Func<string, Task<T?>> read, CancellationToken ct)
        where T : class
    {
        RecordName.CheckPrefix(prefix, "prefix");
        RecordName.CheckPrefix(pageToken, "page_token");
        if (!(pageToken.Length == 0 || pageToken.StartsWith(prefix, StringComparison.Ordinal)))
        {
            throw LrtMeshException.Invalid("page_token", "must be the next_page_token of a list with the same prefix");
        }

        if (pageSize is < 0 or > MaxPage)
        {
            throw LrtMeshException.Invalid("page_size", $"must be 0 (for {DefaultPage}) to {MaxPage}");
        }

        var size = pageSize == 0 ? DefaultPage : pageSize;
        var items = new List<T>();
        var last = pageToken;
        while (true)
        {
            var wanted = size - items.Count;
            // One more than wanted says whether another page follows.
            var names = await RangeAsync(prefix, last, wanted + 1, ct);
            var here = names.Take(wanted).ToArray();
            var records = await Task.WhenAll(here.Select(read));
            for (var i = 0; i < here.Length; i++)
            {
                if (records[i] is { } record)
                {
                    items.Add(record);
                }
                else
                {
                    await RemoveAsync(here[i], keyOf(here[i]), ct);
                }
            }

            if (names.Length <= wanted)
            {
                return new Page<T>(items, "");
            }

            last = here[^1];
            if (items.Count == size)
            {
                return new Page<T>(items, last);
            }
        }
    }

    private async Task<string[]> RangeAsync(string prefix, string after, int count, CancellationToken ct)
    {
        // DEL sorts after every character that a name may have. An unset bound is open.
        RedisValue low = prefix.Length == 0 ? default : (RedisValue)prefix;
        RedisValue high = prefix.Length == 0 ? default : (RedisValue)(prefix + "\u007f");
        var exclude = Exclude.None;
        if (after.Length > 0 && order == Order.Ascending)
        {
            (low, exclude) = (after, Exclude.Start);
        }
        else if (after.Length > 0)
        {
            (high, exclude) = (after, Exclude.Stop);
        }

        var names = await link.RunAsync(
            $"the list of {kind}s", db => db.SortedSetRangeByValueAsync(_key, low, high, exclude, order, 0, count), ct);
        return Array.ConvertAll(names, name => (string)name!);
    }
}

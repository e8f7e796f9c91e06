using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>What the store's servers promise to keep, as their settings say it; of several, the weakest counts.</summary>
/// <param name="Durability">What survives a crash, in words.</param>
/// <param name="Eviction">The policy by which a full server throws keys away; null: it does not, or does not say.</param>
internal sealed record ServerPromises(string Durability, string? Eviction)
{
    // From the weakest on.
    private static readonly string[] Durabilities =
    [
        "a crash loses every acknowledged write since the last snapshot (appendonly no)",
        "unknown: the server does not allow CONFIG GET",
        "unknown: the server does not say whether it keeps an append-only file",
        "a crash of the machine can lose acknowledged writes (appendonly yes, appendfsync no)",
        "writes go to an append-only file; the server does not say when it reaches the disk (appendonly yes)",
        "a crash can lose about the last second of acknowledged writes (appendonly yes, appendfsync everysec)",
        "every acknowledged write is on disk (appendonly yes, appendfsync always)",
    ];

    /// <summary>Whether any key may be thrown away, and not only those that are kept for a time.</summary>
    public bool EvictsAll => Eviction?.StartsWith("allkeys", StringComparison.Ordinal) == true;

    /// <summary>Asks the servers.</summary>
    /// <param name="primaries">Those that take writes, at least one.</param>
    /// <param name="ct">Stops the wait.</param>
    public static async Task<ServerPromises> ReadAsync(IReadOnlyList<IServer> primaries, CancellationToken ct)
    {
        var durabilities = await Task.WhenAll(primaries.Select(server => DurabilityAsync(server, ct)));
        var policies = await Task.WhenAll(primaries.Select(server => PolicyAsync(server, ct)));
        return new(
            Durabilities[durabilities.Min()],
            policies.Where(policy => policy is not (null or "noeviction")).Order(StringComparer.Ordinal).FirstOrDefault()); // allkeys comes before volatile
    }

    /// <returns>Which of <see cref="Durabilities"/>.</returns>
    private static async Task<int> DurabilityAsync(IServer server, CancellationToken ct)
    {
        try
        {
            return (await ConfigAsync(server, "appendonly", ct), await ConfigAsync(server, "appendfsync", ct)) switch
            {
                ("yes", "always") => 6,
                ("yes", "everysec") => 5,
                ("yes", "no") => 3,
                ("yes", _) => 4,
                ("no", _) => 0,
                _ => 2,
            };
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException)
        {
            return 1;
        }
    }

    private static async Task<string?> ConfigAsync(IServer server, string setting, CancellationToken ct) =>
        (await server.ConfigGetAsync(setting).WaitAsync(ct)).Select(pair => pair.Value).FirstOrDefault();

    // INFO, which is allowed where CONFIG is not.
    private static async Task<string?> PolicyAsync(IServer server, CancellationToken ct)
    {
        try
        {
            return (await server.InfoAsync("memory").WaitAsync(ct)).SelectMany(section => section).FirstOrDefault(pair => pair.Key == "maxmemory_policy").Value;
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException)
        {
            return null;
        }
    }
}

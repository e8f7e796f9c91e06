using System.Diagnostics;

namespace LrtMesh.TestKit.Stores;

/// <summary>A sentinel that alone decides when the primary is down, and which replica takes its place.</summary>
/// <param name="primary">The first primary.</param>
public sealed class RedisSentinelProcess(RedisServerProcess primary) : StoreServer
{
    /// <summary>What it calls the primary.</summary>
    public const string ServiceName = "mesh";

    /// <inheritdoc/>
    public override string? Missing => primary.Missing;

    /// <inheritdoc/>
    protected override ProcessStartInfo Command(string folder, int port)
    {
        // It writes what it learns into its configuration.
        var configuration = Path.Combine(folder, "sentinel.conf");
        File.WriteAllLines(configuration,
        [
            "bind 127.0.0.1", $"port {port}", $"dir {folder}",
            $"sentinel monitor {ServiceName} {primary.Address.Replace(':', ' ')} 1",
            $"sentinel down-after-milliseconds {ServiceName} 1000",
            $"sentinel failover-timeout {ServiceName} 3000",
        ]);
        return new("redis-server", [configuration, "--sentinel"]);
    }
}

using System.Diagnostics;
using System.Globalization;
using StackExchange.Redis;

namespace LrtMesh.TestKit.Stores;

/// <summary>A Redis Cluster of three primaries.</summary>
public sealed class RedisCluster : IAsyncDisposable
{
    private const int Slots = 16384;
    private static readonly TimeSpan JoinsWithin = TimeSpan.FromSeconds(60);

    private readonly List<(RedisServerProcess Server, int Bus)> _nodes = [];

    /// <summary>All nodes, as a client is told of them.</summary>
    public string Addresses => string.Join(',', _nodes.Select(node => node.Server.Address));

    /// <summary>The nodes.</summary>
    public IReadOnlyList<RedisServerProcess> Nodes => [.. _nodes.Select(node => node.Server)];

    /// <summary>Starts the nodes, shares the slots out, and returns once all are served.</summary>
    public async Task StartAsync()
    {
        for (var i = 0; i < 3; i++)
        {
            var bus = StoreServer.FreePort();
            var node = new RedisServerProcess { Settings = ["--cluster-enabled", "yes", "--cluster-port", bus.ToString(CultureInfo.InvariantCulture), "--cluster-node-timeout", "5000"] };
            _nodes.Add((node, bus));
            await node.StartAsync();
        }

        for (var i = 0; i < 3; i++)
        {
            await using var node = await ConnectionMultiplexer.ConnectAsync($"{Nodes[i].Address},allowAdmin=true");
            var server = node.GetServer(Nodes[i].Address);
            await server.ExecuteAsync("CLUSTER", "ADDSLOTSRANGE", i * Slots / 3, ((i + 1) * Slots / 3) - 1);
            var first = Nodes[0].Address.Split(':');
            await server.ExecuteAsync("CLUSTER", "MEET", first[0], first[1], _nodes[0].Bus);
        }

        var clock = Stopwatch.StartNew();
        foreach (var address in Nodes.Select(node => node.Address))
        {
            while (!await IsWholeAsync(address))
            {
                if (clock.Elapsed > JoinsWithin)
                {
                    throw new TimeoutException($"the node at {address} does not see a whole cluster");
                }

                await Task.Delay(100);
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (var (server, _) in _nodes)
        {
            await server.DisposeAsync();
        }
    }

    private static async Task<bool> IsWholeAsync(string address)
    {
        await using var node = await ConnectionMultiplexer.ConnectAsync($"{address},allowAdmin=true");
        var state = (string)(await node.GetServer(address).ExecuteAsync("CLUSTER", "INFO"))!;
        return state.Contains("cluster_state:ok", StringComparison.Ordinal) && state.Contains("cluster_known_nodes:3", StringComparison.Ordinal);
    }
}

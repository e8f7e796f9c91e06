using System.Diagnostics;
using System.Net;
using LrtMesh.Core.Telemetry;
using Microsoft.Extensions.Logging;
using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>
/// The connection to Redis. It reconnects by itself, never waits longer than a few seconds, and is the one place where Redis's
/// errors become ours.
/// </summary>
internal sealed partial class RedisLink : IAsyncDisposable
{
    // Milliseconds. A configuration may give its own values, which come after these and win.
    private const string Defaults = "connectTimeout=3000,connectRetry=2,syncTimeout=5000,asyncTimeout=5000,keepAlive=5,name=lrtmesh,";

    private readonly ConnectionMultiplexer _connections;
    private readonly string _address;

    private RedisLink(ConnectionMultiplexer connections, string address)
    {
        _connections = connections;
        _address = address;
    }

    /// <exception cref="LrtMeshException">Unavailable: nothing answers; InvalidArgument: the configuration cannot be read.</exception>
    public static async Task<RedisLink> ConnectAsync(string configuration, ILogger logger, CancellationToken ct)
    {
        ConfigurationOptions options;
        try
        {
            options = ConfigurationOptions.Parse(Defaults + configuration);
        }
        catch (ArgumentException e)
        {
            throw LrtMeshException.Invalid("redis", $"must be HOST:PORT or a configuration of StackExchange.Redis: {e.Message}");
        }

        if (options.EndPoints.Count == 0)
        {
            throw LrtMeshException.Invalid("redis", "must name a server, as HOST:PORT");
        }

        // With no connection a command fails at once: what is in memory must go on serving without a wait at each request.
        options.BacklogPolicy = BacklogPolicy.FailFast;
        options.ReconnectRetryPolicy = new LinearRetry(500);
        options.AbortOnConnectFail = true;
        // CONFIG GET alone needs it (see Durability); nothing here changes a server.
        options.AllowAdmin = true;

        var address = string.Join(", ", options.EndPoints.Select(Written));
        try
        {
            var connections = await ConnectionMultiplexer.ConnectAsync(options).WaitAsync(ct);
            connections.ConnectionFailed += (_, e) => LogLost(logger, address, e.FailureType);
            connections.ConnectionRestored += (_, _) => LogBack(logger, address);
            return new RedisLink(connections, address);
        }
        catch (RedisException e)
        {
            throw new LrtMeshException(
                ErrorReason.Unavailable,
                $"Redis at {address} cannot be reached: check that it runs there, that this machine may connect, and its password and TLS ({e.Message})",
                e);
        }
    }

    /// <summary>Runs commands.</summary>
    /// <param name="what">The record that an error names, such as: vector "x".</param>
    /// <param name="commands">The commands.</param>
    /// <param name="ct">Stops the wait; a command that was sent may still be carried out.</param>
    /// <exception cref="LrtMeshException">Unavailable, ResourceExhausted or DataLoss.</exception>
    public async Task<T> RunAsync<T>(string what, Func<IDatabase, Task<T>> commands, CancellationToken ct)
    {
        var began = Stopwatch.GetTimestamp();
        try
        {
            var answer = await commands(_connections.GetDatabase()).WaitAsync(ct);
            StoreMetrics.Took(began, error: null);
            return answer;
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException or ObjectDisposedException)
        {
            var error = Translate(what, e);
            StoreMetrics.Took(began, error.Reason);
            throw error;
        }
    }

    /// <summary>Sends a notification; one that is lost is not an error, since watchers also poll.</summary>
    public void Notify(string channel) =>
        _connections.GetSubscriber().Publish(RedisChannel.Literal(channel), RedisValue.EmptyString, CommandFlags.FireAndForget);

    /// <summary>Listens for notifications until what it returns is disposed.</summary>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public async Task<RedisListener> ListenAsync(string what, string channel, CancellationToken ct)
    {
        try
        {
            var queue = await _connections.GetSubscriber().SubscribeAsync(RedisChannel.Literal(channel)).WaitAsync(ct);
            return new RedisListener(queue);
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException or ObjectDisposedException)
        {
            throw Translate(what, e);
        }
    }

    /// <summary>What survives a crash of the server, in words.</summary>
    public async Task<string> DurabilityAsync(CancellationToken ct)
    {
        try
        {
            var server = _connections.GetServers().First(server => server.IsConnected && !server.IsReplica);
            var append = await ConfigAsync(server, "appendonly", ct);
            var sync = await ConfigAsync(server, "appendfsync", ct);
            return (append, sync) switch
            {
                ("yes", "always") => "every acknowledged write is on disk (appendonly yes, appendfsync always)",
                ("yes", "everysec") => "a crash can lose about the last second of acknowledged writes (appendonly yes, appendfsync everysec)",
                ("yes", "no") => "a crash of the machine can lose acknowledged writes (appendonly yes, appendfsync no)",
                ("yes", _) => "writes go to an append-only file; the server does not say when it reaches the disk (appendonly yes)",
                ("no", _) => "a crash loses every acknowledged write since the last snapshot (appendonly no)",
                _ => "unknown: the server does not say whether it keeps an append-only file",
            };
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException or InvalidOperationException)
        {
            return "unknown: the server does not allow CONFIG GET";
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _connections.DisposeAsync();

    private static async Task<string?> ConfigAsync(IServer server, string setting, CancellationToken ct) =>
        (await server.ConfigGetAsync(setting).WaitAsync(ct)).Select(pair => pair.Value).FirstOrDefault();

    private LrtMeshException Translate(string what, Exception e) => e switch
    {
        RedisServerException when e.Message.StartsWith("WRONGTYPE", StringComparison.Ordinal) =>
            new(ErrorReason.DataLoss, $"{what} in the store is damaged: another kind of value lies under its key in Redis at {_address}", e),
        RedisServerException when e.Message.StartsWith("OOM", StringComparison.Ordinal) =>
            new(ErrorReason.ResourceExhausted, $"{what}: Redis at {_address} is full: raise its maxmemory or delete what is not needed", e),
        RedisServerException =>
            new(ErrorReason.Unavailable, $"{what}: Redis at {_address} refuses: {e.Message}", e) { RetryAfter = TimeSpan.FromSeconds(1) },
        _ => new(ErrorReason.Unavailable, $"{what}: Redis at {_address} does not answer: check that it runs and can be reached", e)
        {
            RetryAfter = TimeSpan.FromSeconds(1),
        },
    };

    private static string Written(EndPoint endPoint) => endPoint switch
    {
        DnsEndPoint dns => $"{dns.Host}:{dns.Port}",
        _ => endPoint.ToString() ?? "?",
    };

    [LoggerMessage(Level = LogLevel.Warning, Message = "Redis at {Address} is gone ({Failure}); serving what is in memory, connecting again")]
    private static partial void LogLost(ILogger logger, string address, ConnectionFailureType failure);

    [LoggerMessage(Level = LogLevel.Information, Message = "Redis at {Address} is back")]
    private static partial void LogBack(ILogger logger, string address);
}

using System.Diagnostics;
using System.Net;
using System.Security.Cryptography;
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

    // Replicas that are there have a write within milliseconds; while a wait lasts nothing else comes through the same connection.
    private static readonly TimeSpan ReplicasPatience = TimeSpan.FromSeconds(1);

    private readonly ConnectionMultiplexer _connections;
    private readonly string _address;
    private readonly int _replicas;

    private RedisLink(ConnectionMultiplexer connections, string address, int replicas)
    {
        _connections = connections;
        _address = address;
        _replicas = replicas;
    }

    /// <exception cref="LrtMeshException">Unavailable: nothing answers; InvalidArgument: the configuration cannot be read.</exception>
    public static async Task<RedisLink> ConnectAsync(StoreOptions store, ILogger logger, CancellationToken ct)
    {
        var options = OptionsOf(store);
        var address = string.Join(", ", options.EndPoints.Select(Written));
        try
        {
            var connections = await ConnectionMultiplexer.ConnectAsync(options).WaitAsync(ct);
            connections.ConnectionFailed += (_, e) => LogLost(logger, address, e.FailureType);
            connections.ConnectionRestored += (_, _) => LogBack(logger, address);
            return new RedisLink(connections, address, store.WaitReplicas);
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException)
        {
            throw new LrtMeshException(
                ErrorReason.Unavailable,
                $"Redis at {address} cannot be reached: check that it runs there, that this machine may connect, and its user, password and TLS ({e.Message})",
                e);
        }
    }

    /// <summary>What StackExchange.Redis is told. No error repeats what the configuration holds: it may be a password.</summary>
    private static ConfigurationOptions OptionsOf(StoreOptions store)
    {
        const string Form = "must be HOST:PORT or a configuration of StackExchange.Redis: servers, and after them settings, all separated by commas";
        ConfigurationOptions options;
        try
        {
            options = ConfigurationOptions.Parse(Defaults + store.Redis);
        }
        catch (ArgumentException)
        {
            throw LrtMeshException.Invalid("redis", Form);
        }

        if (options.EndPoints.Count == 0)
        {
            throw LrtMeshException.Invalid("redis", "must name a server, as HOST:PORT");
        }

        // What follows a comma in a password would be taken for a server, and named.
        if (store.Redis.Split(',').SkipWhile(part => !part.Contains('=', StringComparison.Ordinal)).Any(part => !part.Contains('=', StringComparison.Ordinal)))
        {
            throw LrtMeshException.Invalid("redis", $"{Form}; a password that holds a comma belongs in a file (redis-password-file)");
        }

        Use("redis-password-file", store.PasswordFile, file => options.Password = File.ReadAllText(file).TrimEnd('\r', '\n'));
        Use("redis-ca", store.CaFile, options.TrustIssuer);
        Use("redis-cert", store.CertificateFile, file => options.SetUserPemCertificate(file, store.KeyFile));
        options.Ssl |= store.CaFile is not null || store.CertificateFile is not null;
        // With no connection a command fails at once: what is in memory must go on serving without a wait at each request.
        options.BacklogPolicy = BacklogPolicy.FailFast;
        options.ReconnectRetryPolicy = new LinearRetry(500);
        options.AbortOnConnectFail = true;
        // CONFIG GET and INFO need it (see ServerPromises); nothing here changes a server.
        options.AllowAdmin = true;
        // The library's own key and channel: none, and one that a user with rights to ours alone may hear.
        options.TieBreaker = "";
        options.ConfigurationChannel = "lrtmesh:configuration";
        return options;

        static void Use(string field, string? file, Action<string> use)
        {
            try
            {
                if (file is not null)
                {
                    File.OpenRead(file).Dispose(); // its errors name the file
                    use(file);
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
            {
                throw LrtMeshException.Invalid(field, $"cannot be read: {e.Message}");
            }
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

    /// <summary>Waits until replicas have what was written, if they are to be waited for: WAIT, of the connection that wrote.</summary>
    /// <param name="what">The record that an error names.</param>
    /// <param name="keys">Keys that were written; in a cluster they may lie on several servers.</param>
    /// <param name="ct">Stops the wait.</param>
    /// <exception cref="LrtMeshException">Unavailable: too few replicas have it; the write is done, and a failover may lose it.</exception>
    public async Task ReplicatedAsync(string what, RedisKey[] keys, CancellationToken ct)
    {
        if (_replicas == 0)
        {
            return;
        }

        foreach (var server in keys.Select(key => _connections.GetServer(key)).DistinctBy(server => server.EndPoint))
        {
            var began = Stopwatch.GetTimestamp();
            var reached = await RunAsync(what, async _ => (int)await server.ExecuteAsync("WAIT", _replicas, (int)ReplicasPatience.TotalMilliseconds), ct);
            if (reached < _replicas)
            {
                StoreMetrics.Took(began, ErrorReason.Unavailable);
                throw new LrtMeshException(
                    ErrorReason.Unavailable,
                    $"{what} is written and not replicated: after {ReplicasPatience.TotalSeconds} s the replicas of Redis at {_address} that have it are {reached}, and were to be {_replicas} (redis-wait-replicas); write it again")
                {
                    RetryAfter = TimeSpan.FromSeconds(1),
                };
            }
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

    /// <summary>What the servers promise to keep.</summary>
    /// <exception cref="LrtMeshException">Unavailable: none of them takes writes; FailedPrecondition: one throws away what it is to keep.</exception>
    public async Task<ServerPromises> PromisesAsync(CancellationToken ct)
    {
        IServer[] primaries = [.. _connections.GetServers().Where(server => server.IsConnected && !server.IsReplica)];
        if (primaries.Length == 0)
        {
            throw ReadOnly("the store", inner: null);
        }

        var promises = await ServerPromises.ReadAsync(primaries, ct);
        return promises.EvictsAll
            ? throw new LrtMeshException(
                ErrorReason.FailedPrecondition,
                $"Redis at {_address} throws any key away when it is full (maxmemory-policy {promises.Eviction}), vectors and maps among them: set maxmemory-policy to noeviction")
            : _replicas == 0 ? promises
            : promises with { Durability = $"{promises.Durability}; writes wait for replicas to have them: {_replicas}" };
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _connections.DisposeAsync();

    private LrtMeshException Translate(string what, Exception e) => e switch
    {
        RedisServerException when e.Message.StartsWith("WRONGTYPE", StringComparison.Ordinal) =>
            new(ErrorReason.DataLoss, $"{what} in the store is damaged: another kind of value lies under its key in Redis at {_address}", e),
        RedisServerException when e.Message.StartsWith("OOM", StringComparison.Ordinal) =>
            new(ErrorReason.ResourceExhausted, $"{what}: Redis at {_address} is full: raise its maxmemory or delete what is not needed", e),
        RedisServerException when e.Message.StartsWith("READONLY", StringComparison.Ordinal) => ReadOnly(what, e),
        RedisServerException =>
            new(ErrorReason.Unavailable, $"{what}: Redis at {_address} refuses: {e.Message}", e) { RetryAfter = TimeSpan.FromSeconds(1) },
        RedisConnectionException when _connections.GetServers().Where(server => server.IsConnected).ToArray() is { Length: > 0 } connected && connected.All(server => server.IsReplica) =>
            ReadOnly(what, e),
        _ => new(ErrorReason.Unavailable, $"{what}: Redis at {_address} does not answer: check that it runs and can be reached", e)
        {
            RetryAfter = TimeSpan.FromSeconds(1),
        },
    };

    private LrtMeshException ReadOnly(string what, Exception? inner) => new(
        ErrorReason.Unavailable, $"{what}: Redis at {_address} is a replica, which takes no writes: name the primary, or with Sentinel its serviceName", inner)
    {
        RetryAfter = TimeSpan.FromSeconds(1),
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

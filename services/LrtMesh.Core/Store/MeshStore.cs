using Microsoft.Extensions.Logging;

namespace LrtMesh.Core.Store;

/// <summary>Vectors, maps and jobs in Redis, or in a server that speaks its protocol.</summary>
public sealed partial class MeshStore : IAsyncDisposable
{
    private readonly RedisLink _link;

    private MeshStore(RedisLink link, string durability)
    {
        _link = link;
        Durability = durability;
        Vectors = new VectorStore(link);
        Maps = new MapStore(link);
        Bases = new BasisStore(link);
        Jobs = new JobStore(link);
    }

    /// <summary>Steering vectors.</summary>
    public VectorStore Vectors { get; }

    /// <summary>Affine maps.</summary>
    public MapStore Maps { get; }

    /// <summary>Bases that models share.</summary>
    public BasisStore Bases { get; }

    /// <summary>Jobs.</summary>
    public JobStore Jobs { get; }

    /// <summary>What survives a crash of the server, in words, as its settings said at the start.</summary>
    public string Durability { get; }

    /// <summary>Connects. A connection that breaks later comes back by itself.</summary>
    /// <param name="configuration">HOST:PORT, or a configuration of StackExchange.Redis.</param>
    /// <param name="logger">Hears of the connection's loss and return.</param>
    /// <param name="ct">Stops the wait.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the configuration; Unavailable: no server answers there.</exception>
    public static async Task<MeshStore> ConnectAsync(string configuration, ILogger<MeshStore> logger, CancellationToken ct)
    {
        var link = await RedisLink.ConnectAsync(configuration, logger, ct);
        try
        {
            var store = new MeshStore(link, await link.DurabilityAsync(ct));
            LogConnected(logger, store.Durability);
            return store;
        }
        catch
        {
            await link.DisposeAsync();
            throw;
        }
    }

    /// <summary>Asks the server for an answer.</summary>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public Task PingAsync(CancellationToken ct) => _link.RunAsync("the store", db => db.PingAsync(), ct);

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _link.DisposeAsync();

    [LoggerMessage(Level = LogLevel.Information, Message = "Connected to the store: {Durability}")]
    private static partial void LogConnected(ILogger logger, string durability);
}

using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Garnet;
using LrtMesh.Core;
using StackExchange.Redis;

namespace LrtMesh.Standalone;

/// <summary>
/// Garnet in this process: what speaks Redis's protocol where no Redis is given. Its append-only file lies in a data folder, and a write is
/// acknowledged once it is in that file. It listens on loopback alone. One process at a time may use a data folder.
/// </summary>
public sealed class EmbeddedStore : IAsyncDisposable
{
    // Written into every new folder: a folder that has been used and does not show it has lost its data.
    private const string Mark = "lrtmesh:embedded-store";
    private const string MarkFile = "store.created";
    private const string LockFile = "store.lock";

    private readonly GarnetServer _server;
    private readonly FileStream _lock;

    private EmbeddedStore(GarnetServer server, FileStream folderLock, int port)
    {
        _server = server;
        _lock = folderLock;
        Address = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{port}");
    }

    /// <summary>Where it listens, as HOST:PORT.</summary>
    public string Address { get; }

    /// <summary>Starts the store, with all that the folder holds.</summary>
    /// <param name="dataFolder">Where its files lie; made if it is not there.</param>
    /// <param name="port">Port on loopback; 0 takes a free one.</param>
    /// <remarks>
    /// A log whose end is unreadable is taken for one whose last write was cut off by a crash: Garnet recovers what comes before. A log
    /// that is gone or unreadable from its beginning is an error.
    /// </remarks>
    /// <exception cref="LrtMeshException">FailedPrecondition: the folder is in use or cannot be written, or the port is in use; DataLoss: what
    /// the folder holds cannot be read.</exception>
    public static EmbeddedStore Start(string dataFolder, int port)
    {
        var folder = Path.GetFullPath(dataFolder);
        var folderLock = Lock(folder);
        GarnetServer? server = null;
        try
        {
            var chosen = port == 0 ? FreePort() : CheckedPort(port);
            server = Launch(folder, chosen);
            var store = new EmbeddedStore(server, folderLock, chosen);
            store.CheckMark(folder);
            return store;
        }
        catch
        {
            server?.Dispose();
            folderLock.Dispose();
            throw;
        }
    }

    /// <summary>Stops the store. Every acknowledged write is in its file already.</summary>
    public async ValueTask DisposeAsync()
    {
        await _server.Store.CommitAOFAsync(CancellationToken.None);
        _server.Dispose();
        await _lock.DisposeAsync();
    }

    private static FileStream Lock(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
            return new FileStream(Path.Combine(folder, LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (UnauthorizedAccessException e)
        {
            throw Unusable(folder, "cannot be written", e);
        }
        catch (IOException e)
        {
            throw Unusable(folder, File.Exists(folder) ? "is a file, not a folder" : $"is in use by another mesh, or cannot be written ({e.Message})", e);
        }
    }

    private static GarnetServer Launch(string folder, int port)
    {
        try
        {
            // Pages hold the largest piece of a record (4 MiB) several times over. All stays in memory, which is taken as it is needed:
            // --memory is more than an embedded store ever holds, since Garnet 2.2.8 may end the process when it moves a large value to
            // disk while another is replaced (its pull request 2017). RandomAccess needs no libaio.
            var server = new GarnetServer(
            [
                "--bind", "127.0.0.1", "--port", port.ToString(CultureInfo.InvariantCulture),
                "--logdir", folder, "--checkpointdir", folder, "--device-type", "RandomAccess", "--storage-tier",
                "--aof", "--aof-commit-wait", "--recover", "--fail-on-recovery-error",
                "--index", "4m", "--page", "8m", "--memory", "1024g", "--aof-page-size", "16m", "--aof-memory", "32m",
                "--logger-level", "None", "--disable-console-logger", "-q",
            ]);
            try
            {
                server.Start();
                return server;
            }
            catch
            {
                server.Dispose();
                throw;
            }
        }
        catch (SocketException e)
        {
            throw PortTaken(port, e);
        }
        catch (Exception e) when (e is not LrtMeshException)
        {
            throw Damaged(folder, e.Message, e);
        }
    }

    private void CheckMark(string folder)
    {
        var markFile = Path.Combine(folder, MarkFile);
        using var connection = ConnectionMultiplexer.Connect(Address);
        var database = connection.GetDatabase();
        if (database.KeyExists(Mark))
        {
            return;
        }

        if (File.Exists(markFile))
        {
            throw Damaged(folder, "what was stored is not there after recovery", inner: null);
        }

        database.StringSet(Mark, "1");
        File.WriteAllText(markFile, "This folder holds the embedded store of LrtMesh.\n");
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    // Asked before Garnet is, whose own complaint comes after it has opened its files.
    private static int CheckedPort(int port)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Loopback, port);
            listener.Start();
            return port;
        }
        catch (SocketException e)
        {
            throw PortTaken(port, e);
        }
    }

    private static LrtMeshException PortTaken(int port, SocketException e) =>
        new(ErrorReason.FailedPrecondition, $"port {port} on 127.0.0.1 cannot be used for the embedded store ({e.Message}): choose another, or 0", e);

    private static LrtMeshException Unusable(string folder, string why, Exception inner) =>
        new(ErrorReason.FailedPrecondition, $"data folder {folder} {why}: name another, or stop what uses it", inner);

    private static LrtMeshException Damaged(string folder, string why, Exception? inner) =>
        new(ErrorReason.DataLoss, $"the store in data folder {folder} cannot be read ({why}): restore it from a copy, or name another folder", inner);
}

using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using StackExchange.Redis;

namespace LrtMesh.TestKit.Stores;

/// <summary>A store in a process of its own, with a temporary folder, that a test may kill and start again.</summary>
public abstract class StoreServer : IAsyncDisposable
{
    private static readonly TimeSpan StartsWithin = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-store-").FullName;
    private readonly int _port = FreePort();
    private Process? _process;

    /// <summary>HOST:PORT, the same after each start.</summary>
    public string Address => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_port}");

    /// <summary>Why this server cannot be run here; null if it can.</summary>
    public abstract string? Missing { get; }

    /// <summary>The command that serves this folder at this port.</summary>
    protected abstract ProcessStartInfo Command(string folder, int port);

    /// <summary>Starts it, for the first time or again on the same folder, and returns once it answers.</summary>
    public async Task StartAsync()
    {
        if (Missing is { } reason)
        {
            throw new InvalidOperationException(reason);
        }

        var command = Command(_folder, _port);
        command.RedirectStandardOutput = true;
        command.RedirectStandardError = true;
        _process = Process.Start(command)!;
        var output = Task.WhenAll(_process.StandardOutput.ReadToEndAsync(), _process.StandardError.ReadToEndAsync());

        var clock = Stopwatch.StartNew();
        while (!await AnswersAsync())
        {
            if (_process.HasExited)
            {
                throw new InvalidOperationException($"{command.FileName} ended at once: {string.Join('\n', await output)}");
            }

            if (clock.Elapsed > StartsWithin)
            {
                throw new TimeoutException($"{command.FileName} does not answer at {Address}");
            }

            await Task.Delay(50);
        }
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        if (_process is { } process)
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
            _process = null;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await KillAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task<bool> AnswersAsync()
    {
        try
        {
            await using var connection = await ConnectionMultiplexer.ConnectAsync($"{Address},connectTimeout=1000,connectRetry=1");
            await connection.GetDatabase().KeyExistsAsync("ready");
            return true;
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException)
        {
            return false;
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

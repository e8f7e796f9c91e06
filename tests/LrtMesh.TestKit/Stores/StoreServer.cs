using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

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

    /// <summary>Stops it without ending it: it answers nothing, and its connections stay.</summary>
    public Task PauseAsync() => SignalAsync("STOP");

    /// <summary>Lets it go on.</summary>
    public Task ResumeAsync() => SignalAsync("CONT");

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await KillAsync();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>Whether it answers PING, as one that still reads its files does not.</summary>
    private async Task<bool> AnswersAsync()
    {
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(IPAddress.Loopback, _port).WaitAsync(TimeSpan.FromSeconds(1));
            var stream = client.GetStream();
            await stream.WriteAsync("*1\r\n$4\r\nPING\r\n"u8.ToArray());
            var answer = new byte[7];
            await stream.ReadExactlyAsync(answer).AsTask().WaitAsync(TimeSpan.FromSeconds(1));
            return answer.AsSpan().SequenceEqual("+PONG\r\n"u8) || answer.AsSpan().SequenceEqual("-NOAUTH"u8);
        }
        catch (Exception e) when (e is SocketException or IOException or TimeoutException)
        {
            return false;
        }
    }

    private async Task SignalAsync(string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", _process!.Id.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
    }

    /// <summary>A port that is free just now.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}

using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>A role's own executable in a process of its own, at ports that stay the same when it is started again.</summary>
/// <param name="role">The executable.</param>
/// <param name="settings">Its settings, but for ports.</param>
internal sealed class RoleProcess(Assembly role, params string[] settings) : IAsyncDisposable
{
    private const int LinesKept = 200;

    private static readonly TimeSpan StartsWithin = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan StopsWithin = TimeSpan.FromSeconds(60);

    private readonly HttpClient _ops = new() { Timeout = TimeSpan.FromSeconds(10) };
    private readonly ConcurrentQueue<string> _log = new();
    private Process? _process;
    private int _failures;

    public int Port { get; } = StablePort();

    public string Address => $"http://127.0.0.1:{Port}";

    /// <summary>What it said last on standard error.</summary>
    public string Log => string.Join('\n', _log);

    /// <summary>Errors that it has logged: those that nobody meant.</summary>
    public int Failures => _failures;

    public bool IsRunning => _process is { HasExited: false };

    /// <summary>Bytes of memory that it holds.</summary>
    public long Resident => Status("VmRSS:");

    /// <summary>Most bytes of memory that it has held since <see cref="ForgetPeakAsync"/>.</summary>
    public long Peak => Status("VmHWM:");

    private int OpsPort { get; } = StablePort();

    /// <summary>Starts it, and returns once it serves.</summary>
    public async Task StartAsync()
    {
        Begin();
        for (var clock = Stopwatch.StartNew(); !await IsReadyAsync(); await Task.Delay(50))
        {
            Assert.True(IsRunning, $"{role.GetName().Name} ended at once: {Log}");
            Assert.True(clock.Elapsed < StartsWithin, $"{role.GetName().Name} does not serve: {Log}");
        }
    }

    /// <summary>Starts one that is to refuse its settings.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> EndsAsync()
    {
        Begin();
        await _process!.WaitForExitAsync().WaitAsync(StopsWithin);
        return _process.ExitCode;
    }

    /// <summary>SIGKILL.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>SIGTERM.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> StopAsync()
    {
        await SignalAsync("TERM");
        await _process!.WaitForExitAsync().WaitAsync(StopsWithin);
        return _process.ExitCode;
    }

    /// <summary>SIGSTOP: it is there, and does nothing.</summary>
    public Task PauseAsync() => SignalAsync("STOP");

    /// <summary>SIGCONT.</summary>
    public Task ResumeAsync() => SignalAsync("CONT");

    /// <summary>The peak begins again at what is resident now.</summary>
    public Task ForgetPeakAsync() => File.WriteAllTextAsync($"/proc/{_process!.Id}/clear_refs", "5");

    /// <summary>A metric, over all its labels.</summary>
    public async Task<double> MetricAsync(string name)
    {
        var lines = (await _ops.GetStringAsync(new Uri($"http://127.0.0.1:{OpsPort}/metrics"))).Split('\n');
        return lines.Where(line => line.StartsWith(name + '{', StringComparison.Ordinal) || line.StartsWith(name + ' ', StringComparison.Ordinal))
            .Sum(line => double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture));
    }

    /// <summary>Waits until no sequence runs or waits.</summary>
    /// <returns>Those that still do after half a minute.</returns>
    public async Task<double> IdleAsync()
    {
        for (var clock = Stopwatch.StartNew(); ; await Task.Delay(100))
        {
            var busy = await MetricAsync("lrtmesh_generation_running") + await MetricAsync("lrtmesh_generation_queued");
            if (busy == 0 || clock.Elapsed > TimeSpan.FromSeconds(30))
            {
                return busy;
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            if (!_process.HasExited)
            {
                await KillAsync();
            }

            _process.Dispose();
        }

        _ops.Dispose();
    }

    /// <summary>A free port below those that the system gives to clients: a client that connects to such a one while nobody listens can meet itself, and then holds it.</summary>
    private static int StablePort()
    {
        while (true)
        {
            using var listener = new TcpListener(IPAddress.Loopback, Random.Shared.Next(10_000, 32_000));
            try
            {
                listener.Start();
                return ((IPEndPoint)listener.LocalEndpoint).Port;
            }
            catch (SocketException)
            {
                // Taken.
            }
        }
    }

    private async Task SignalAsync(string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", _process!.Id.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
    }

    private void Begin()
    {
        _process?.Dispose();
        var command = new ProcessStartInfo("dotnet", [role.Location, "--port", $"{Port}", "--ops-port", $"{OpsPort}", .. settings]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var name in command.Environment.Keys.Where(name => name.StartsWith("LRTMESH_", StringComparison.Ordinal)).ToArray())
        {
            command.Environment.Remove(name); // would be a setting of the role's
        }

        _process = Process.Start(command)!;
        _process.OutputDataReceived += (_, _) => { };
        _process.BeginOutputReadLine();
        _process.ErrorDataReceived += (_, line) =>
        {
            _log.Enqueue(line.Data ?? "");
            if (line.Data is { } text && (text.StartsWith("fail:", StringComparison.Ordinal) || text.StartsWith("crit:", StringComparison.Ordinal)))
            {
                Interlocked.Increment(ref _failures);
            }

            if (_log.Count > LinesKept)
            {
                _log.TryDequeue(out var _);
            }
        };
        _process.BeginErrorReadLine();
    }

    private async Task<bool> IsReadyAsync()
    {
        try
        {
            using var answer = await _ops.GetAsync(new Uri($"http://127.0.0.1:{OpsPort}/health/ready"));
            return answer.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
        {
            return false;
        }
    }

    private long Status(string field)
    {
        var line = File.ReadLines($"/proc/{_process!.Id}/status").First(line => line.StartsWith(field, StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
    }
}

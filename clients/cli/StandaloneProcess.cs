using System.Diagnostics;
using System.Runtime.InteropServices;

namespace LrtMesh.Cli;

/// <summary>A mesh of this command's own: all roles in one child process, for the time that the command runs.</summary>
internal sealed class StandaloneProcess : IAsyncDisposable
{
    private const int SigTerm = 15;
    private const int ErrorLinesKept = 40;
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(3);

    private readonly Process _process;
    private readonly string _folder;
    private readonly Queue<string> _lastErrors = new();
    private readonly TaskCompletionSource _errorsEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private StandaloneProcess(Process process, string folder)
    {
        _process = process;
        _folder = folder;
    }

    /// <summary>Where the mesh writes its profile once all of its roles are healthy.</summary>
    public string ProfilePath => Path.Combine(_folder, "mesh.json");

    /// <summary>Starts the executable and waits until its roles are healthy.</summary>
    /// <param name="options">Further options of `up`, such as models to hold.</param>
    /// <exception cref="CommandException">It cannot be started, ends early, or takes more than three minutes.</exception>
    public static async Task<StandaloneProcess> StartAsync(string executable, string dataFolder, string? redis, CancellationToken cancellation, params IReadOnlyList<string> options)
    {
        Directory.CreateDirectory(dataFolder);
        string folder = Directory.CreateTempSubdirectory("lrtmesh-").FullName;
        var start = new ProcessStartInfo(executable)
        {
            // A standard input of its own: the prompt of `generate -` is not for the child.
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        string[] arguments = ["up", "--data-dir", dataFolder, "--profile", Path.Combine(folder, "mesh.json"), "--parent-pid", $"{Environment.ProcessId}", .. options];
        foreach (string argument in redis is null ? arguments : [.. arguments, "--redis", redis])
        {
            start.ArgumentList.Add(argument);
        }

        var standalone = new StandaloneProcess(new Process { StartInfo = start }, folder);
        try
        {
            standalone.Launch(executable);
            await standalone.WaitUntilHealthyAsync(cancellation);
            return standalone;
        }
        catch
        {
            await standalone.DisposeAsync();
            throw;
        }
    }

    /// <summary>Asks the process to stop, kills it after ten seconds, and removes the profile.</summary>
    public async ValueTask DisposeAsync()
    {
        if (IsRunning())
        {
            if (OperatingSystem.IsWindows())
            {
                _process.Kill(entireProcessTree: true);
            }
            else
            {
                _ = SendSignal(_process.Id, SigTerm);
            }

            try
            {
                await _process.WaitForExitAsync().WaitAsync(StopPatience);
            }
            catch (TimeoutException)
            {
                _process.Kill(entireProcessTree: true);
                await _process.WaitForExitAsync();
            }
        }

        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private void Launch(string executable)
    {
        // Both pipes are drained, or the child would block on a full one.
        _process.OutputDataReceived += (_, _) => { };
        _process.ErrorDataReceived += (_, e) => KeepError(e.Data);
        try
        {
            _process.Start();
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new CommandException($"{executable}: cannot be started: {e.Message}", "LRTMESH_STANDALONE names the executable of LrtMesh.Standalone; the launcher ./lrtmesh sets it.", e);
        }

        _process.StandardInput.Close();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    private async Task WaitUntilHealthyAsync(CancellationToken cancellation)
    {
        var clock = Stopwatch.StartNew();
        while (!File.Exists(ProfilePath))
        {
            if (_process.HasExited)
            {
                // The pipe may end a moment after the process; a grandchild that inherited it must not hold us up.
                await Task.WhenAny(_errorsEnded.Task, Task.Delay(TimeSpan.FromSeconds(2), cancellation));
                throw new CommandException($"The mesh ended with exit code {_process.ExitCode} before it was ready.{LastErrors()}");
            }

            if (clock.Elapsed > StartPatience)
            {
                throw new CommandException($"The mesh was not ready after {StartPatience.TotalSeconds:0} s.{LastErrors()}");
            }

            await Task.Delay(50, cancellation);
        }
    }

    private void KeepError(string? line)
    {
        if (line is null)
        {
            _errorsEnded.TrySetResult();
            return;
        }

        lock (_lastErrors)
        {
            _lastErrors.Enqueue(line);
            if (_lastErrors.Count > ErrorLinesKept)
            {
                _lastErrors.Dequeue();
            }
        }
    }

    private string LastErrors()
    {
        lock (_lastErrors)
        {
            return string.Concat(_lastErrors.Select(line => Environment.NewLine + line));
        }
    }

    private bool IsRunning()
    {
        try
        {
            return !_process.HasExited;
        }
        catch (InvalidOperationException)
        {
            return false; // Never started.
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int SendSignal(int process, int signal);
}

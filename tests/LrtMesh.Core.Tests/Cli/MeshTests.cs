using System.Diagnostics;
using LrtMesh.Cli;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

/// <summary>Real child processes: shell scripts that stand where the standalone executable stands.</summary>
[System.Runtime.Versioning.UnsupportedOSPlatform("windows")]
public sealed class MeshTests : IDisposable
{
    private const string Profile = """{"extraction":"http://127.0.0.1:1","mapping":"http://127.0.0.1:2","generation":"http://127.0.0.1:3","store":"garnet 127.0.0.1:4"}""";

    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-mesh-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_profile_is_read()
    {
        string path = Write("mesh.json", Profile);
        Assert.Equal(new MeshProfile("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "garnet 127.0.0.1:4"), MeshProfile.Read(path));
    }

    [Theory]
    [InlineData("""{"extraction":"http://127.0.0.1:1","generation":"http://127.0.0.1:3"}""", "mapping: ''")]
    [InlineData("""{"extraction":"127.0.0.1:1","mapping":"http://h:1","generation":"http://h:2"}""", "extraction: '127.0.0.1:1'")]
    [InlineData("null", "not a mesh profile")]
    [InlineData("{", "not a mesh profile")]
    public void A_profile_that_cannot_be_used_says_what_is_wrong(string json, string says)
    {
        string path = Write("mesh.json", json);
        string message = Assert.Throws<CommandException>(() => MeshProfile.Read(path)).Message;
        Assert.Contains(path, message, StringComparison.Ordinal);
        Assert.Contains(says, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_profile_that_is_not_there_says_how_to_get_one() =>
        Assert.Contains("lrtmesh up", Assert.Throws<CommandException>(() => MeshProfile.Read(Path.Combine(_folder, "none.json"))).Hint, StringComparison.Ordinal);

    [Fact]
    public async Task A_mesh_is_started_with_its_arguments_and_asked_to_stop()
    {
        string seen = Path.Combine(_folder, "seen");
        string script = Script($$"""
            echo "$@" > {{seen}}
            trap 'echo stopped >> {{seen}}; exit 0' TERM
            echo '{{Profile}}' > "$5.partial"; mv "$5.partial" "$5"
            while true; do sleep 0.05; done
            """);
        string data = Path.Combine(_folder, "data");
        string profile;
        await using (var standalone = await StandaloneProcess.StartAsync(script, data, "redis:6379", TestContext.Current.CancellationToken))
        {
            profile = standalone.ProfilePath;
            Assert.Equal("garnet 127.0.0.1:4", MeshProfile.Read(profile).Store);
        }

        string[] lines = await File.ReadAllLinesAsync(seen, TestContext.Current.CancellationToken);
        Assert.Equal($"up --data-dir {data} --profile {profile} --parent-pid {Environment.ProcessId} --redis redis:6379", lines[0]);
        Assert.Equal("stopped", lines[1]);
        Assert.False(File.Exists(profile));
    }

    [Fact]
    public async Task A_mesh_that_ends_early_shows_its_error()
    {
        string script = Script("echo 'port 5001 is in use' >&2; exit 3");
        var error = await Assert.ThrowsAsync<CommandException>(() => StandaloneProcess.StartAsync(script, _folder, null, TestContext.Current.CancellationToken));
        Assert.Contains("exit code 3", error.Message, StringComparison.Ordinal);
        Assert.Contains("port 5001 is in use", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cancelling_while_it_starts_stops_it()
    {
        string pid = Path.Combine(_folder, "pid");
        string script = Script($"echo $$ > {pid}; while true; do sleep 0.05; done");
        using var cancel = new CancellationTokenSource();
        var starting = StandaloneProcess.StartAsync(script, _folder, null, cancel.Token);
        while (!File.Exists(pid) || new FileInfo(pid).Length == 0)
        {
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }

        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => starting);
        int id = int.Parse(await File.ReadAllTextAsync(pid, TestContext.Current.CancellationToken), System.Globalization.CultureInfo.InvariantCulture);
        Assert.Throws<ArgumentException>(() => Process.GetProcessById(id));
    }

    [Fact]
    public async Task An_executable_that_is_not_there_is_named()
    {
        var error = await Assert.ThrowsAsync<CommandException>(() => StandaloneProcess.StartAsync("/nowhere/lrtmesh", _folder, null, TestContext.Current.CancellationToken));
        Assert.Contains("/nowhere/lrtmesh", error.Message, StringComparison.Ordinal);
        Assert.Contains("LRTMESH_STANDALONE", error.Hint, StringComparison.Ordinal);
    }

    private string Script(string body)
    {
        string path = Write("standalone.sh", "#!/bin/sh\n" + body);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }

    private string Write(string name, string text)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, text);
        return path;
    }
}

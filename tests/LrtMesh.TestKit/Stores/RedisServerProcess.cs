using System.Diagnostics;
using System.Globalization;

namespace LrtMesh.TestKit.Stores;

/// <summary>A real redis-server, set up to have on disk what it acknowledges. It must be on the PATH.</summary>
public class RedisServerProcess : StoreServer
{
    private static readonly string? Executable = (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
        .Select(folder => Path.Combine(folder, "redis-server"))
        .FirstOrDefault(File.Exists);

    /// <inheritdoc/>
    public override string? Missing =>
        Executable is null ? "redis-server is not on the PATH (Debian, Ubuntu: apt-get install redis-server)" : null;

    /// <summary>Further settings, as its command line takes them.</summary>
    public IReadOnlyList<string> Settings { get; init; } = [];

    /// <inheritdoc/>
    protected override ProcessStartInfo Command(string folder, int port) => new(
        Executable!,
        [
            "--bind", "127.0.0.1", "--port", port.ToString(CultureInfo.InvariantCulture), "--dir", folder,
            "--save", "", "--appendonly", "yes", "--appendfsync", "always", .. Settings,
        ]);
}

namespace LrtMesh.Standalone.Bench;

/// <summary>A mesh for the time of a bench, its store in a folder that goes with it.</summary>
internal sealed class BenchMesh : IAsyncDisposable
{
    private readonly string _folder;

    private BenchMesh(RunningMesh roles, string folder)
    {
        Roles = roles;
        _folder = folder;
    }

    /// <summary>Its roles.</summary>
    public RunningMesh Roles { get; }

    /// <summary>Starts one.</summary>
    /// <param name="options">What runs in it; the data folder is another.</param>
    /// <param name="cancellation">Ends the start.</param>
    public static async Task<BenchMesh> StartAsync(UpOptions options, CancellationToken cancellation)
    {
        var folder = Directory.CreateTempSubdirectory("lrtmesh-bench-").FullName;
        try
        {
            return new(await RunningMesh.StartAsync(options with { DataFolder = folder }, cancellation), folder);
        }
        catch
        {
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Roles.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }
}

using LrtMesh.Core.Store;
using LrtMesh.Extraction;
using LrtMesh.Generation;
using LrtMesh.Mapping;
using LrtMesh.ServiceDefaults;

namespace LrtMesh.Standalone;

/// <summary>The roles that run in this process, each a server of its own on loopback, and the store where it is embedded.</summary>
public sealed class RunningMesh : IAsyncDisposable
{
    private EmbeddedStore? _embedded;

    private RunningMesh()
    {
    }

    /// <summary>The extraction role; null if it does not run here.</summary>
    public RoleHost? Extraction { get; private set; }

    /// <summary>The mapping role; null if it does not run here.</summary>
    public RoleHost? Mapping { get; private set; }

    /// <summary>The generation role; null if it does not run here.</summary>
    public RoleHost? Generation { get; private set; }

    /// <summary>What keeps vectors and maps, as "garnet HOST:PORT" or "redis HOST:PORT".</summary>
    public string Store { get; private set; } = "";

    /// <summary>What survives a crash of the store, in words.</summary>
    public string Durability { get; private set; } = "";

    private IEnumerable<RoleHost> Roles => new[] { Extraction, Mapping, Generation }.OfType<RoleHost>();

    /// <summary>Starts the store and the roles; when this returns they serve.</summary>
    /// <exception cref="Core.LrtMeshException">An option is wrong, a port is taken, the store does not answer, or a model cannot be loaded.</exception>
    public static async Task<RunningMesh> StartAsync(UpOptions options, CancellationToken cancellation)
    {
        options.Check();
        var mesh = new RunningMesh();
        try
        {
            var redis = new StoreOptions(options.Redis ?? mesh.StartStore(options.DataFolder)) { KeepVersions = options.KeepVersions };
            mesh.Store = options.Redis is null ? $"garnet {redis.Redis}" : $"redis {redis.Redis}";
            if (options.Role is null or MeshRole.Extraction)
            {
                mesh.Extraction = ExtractionRole.Build(new() { Redis = redis, Port = options.ExtractionPort, Models = options.ExtractionModels, ModelRoot = options.ModelRoot, Dtype = options.Dtype, Device = options.Device });
            }

            if (options.Role is null or MeshRole.Generation)
            {
                mesh.Generation = GenerationRole.Build(new() { Redis = redis, Port = options.GenerationPort, Models = options.GenerationModels, ModelRoot = options.ModelRoot, Dtype = options.Dtype, Device = options.Device, Serving = options.Serving });
            }

            if (options.Role is null or MeshRole.Mapping)
            {
                mesh.Mapping = MappingRole.Build(new()
                {
                    Redis = redis,
                    Port = options.MappingPort,
                    TextRoot = options.TextRoot,
                    Endpoints = options.Role is null ? () => [mesh.Extraction!.Address, mesh.Generation!.Address] : options.Endpoints,
                });
            }

            await Task.WhenAll(mesh.Roles.Select(role => role.StartAsync(cancellation)));
            mesh.Durability = options.Redis is null
                ? $"a write is on disk, in {options.DataFolder}, before it is acknowledged"
                : mesh.Roles.First().Service<StoreConnection>().Durability;
            return mesh;
        }
        catch
        {
            await mesh.DisposeAsync();
            throw;
        }
    }

    /// <summary>Stops the roles together, and then the store.</summary>
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(Roles.Select(role => role.DisposeAsync().AsTask()));
        if (_embedded is not null)
        {
            await _embedded.DisposeAsync();
        }
    }

    private string StartStore(string folder)
    {
        _embedded = EmbeddedStore.Start(folder, port: 0);
        return _embedded.Address;
    }
}

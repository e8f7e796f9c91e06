using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using LrtMesh.Client;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>A role that holds models: their descriptions, and their hidden states.</summary>
internal sealed record ModelRole(string Name, ModelService.ModelServiceClient Models, ExtractionService.ExtractionServiceClient Extraction);

/// <summary>A model, and the role that holds it.</summary>
internal sealed record LocatedModel(Model Model, ModelRole Role)
{
    public string Name => Model.Name;

    public uint LastLayer => Model.Layers - 1;
}

/// <summary>
/// The roles of a mesh, spoken to over gRPC: a running mesh by its profile, or one that is started here and stopped with this object.
/// </summary>
internal sealed class Mesh : IAsyncDisposable
{
    private static readonly TimeSpan ShortDeadline = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LongDeadline = TimeSpan.FromMinutes(10);

    private readonly StandaloneProcess? _standalone;
    private readonly List<GrpcChannel> _channels = [];
    private readonly ModelRole[] _modelRoles;

    private Mesh(MeshProfile profile, MeshAccess? access, StandaloneProcess? standalone)
    {
        _standalone = standalone;
        Store = profile.Store;
        var extraction = Open(profile.Extraction, access);
        var mapping = Open(profile.Mapping, access);
        var generation = Open(profile.Generation, access);
        _modelRoles = [RoleOf("extraction", extraction), RoleOf("generation", generation)];
        Mapping = new MappingService.MappingServiceClient(mapping);
        Vectors = new VectorService.VectorServiceClient(mapping);
        Generation = new GenerationService.GenerationServiceClient(generation);
    }

    /// <summary>What keeps vectors and maps, such as "garnet 127.0.0.1:6400".</summary>
    public string Store { get; }

    public MappingService.MappingServiceClient Mapping { get; }

    public VectorService.VectorServiceClient Vectors { get; }

    public GenerationService.GenerationServiceClient Generation { get; }

    /// <summary>The folder in which a command's own mesh keeps vectors and maps from command to command.</summary>
    public static string DefaultDataFolder => Path.Combine(Home, ".lrtmesh");

    /// <summary>The repository's root, or the current folder outside the launcher.</summary>
    public static string Home => Environment.GetEnvironmentVariable("LRTMESH_HOME") is { Length: > 0 } home ? home : Directory.GetCurrentDirectory();

    /// <summary>Opens the mesh of a profile, or starts one over <paramref name="dataFolder"/> where no profile is given.</summary>
    /// <param name="profile">Path of mesh.json; null to start a mesh.</param>
    /// <param name="access">What to show to the mesh of the profile; null: nothing.</param>
    /// <param name="redis">HOST:PORT of a Redis for the mesh that is started; null for the embedded store.</param>
    /// <param name="dataFolder">Data folder of the mesh that is started.</param>
    /// <param name="options">Further options of the mesh that is started, as of `up`.</param>
    /// <exception cref="CommandException">The profile cannot be read, or the mesh does not start.</exception>
    public static async Task<Mesh> OpenAsync(string? profile, MeshAccess? access, string? redis, string dataFolder, CancellationToken cancellation, params IReadOnlyList<string> options)
    {
        if (profile is not null)
        {
            return new Mesh(MeshProfile.Read(profile), access, standalone: null);
        }

        string executable = Environment.GetEnvironmentVariable("LRTMESH_STANDALONE") is { Length: > 0 } set
            ? set
            : throw new CommandException("There is no mesh: --mesh is not given and LRTMESH_STANDALONE is not set.", "Run the command through the launcher ./lrtmesh, or give --mesh mesh.json.");
        var standalone = await StandaloneProcess.StartAsync(executable, dataFolder, redis, cancellation, options);
        try
        {
            return new Mesh(MeshProfile.Read(standalone.ProfilePath), access: null, standalone);
        }
        catch
        {
            await standalone.DisposeAsync();
            throw;
        }
    }

    /// <summary>Options of a call that should be answered at once.</summary>
    public static CallOptions Soon(CancellationToken cancellation) => new(deadline: DateTime.UtcNow + ShortDeadline, cancellationToken: cancellation);

    /// <summary>Options of a call that computes.</summary>
    public static CallOptions Long(CancellationToken cancellation) => new(deadline: DateTime.UtcNow + LongDeadline, cancellationToken: cancellation);

    /// <summary>The models of all roles; a model that two roles hold appears twice.</summary>
    public async Task<IReadOnlyList<LocatedModel>> ListModelsAsync(CancellationToken cancellation)
    {
        var lists = await Task.WhenAll(_modelRoles.Select(async role =>
        {
            var response = await role.Models.ListModelsAsync(new ListModelsRequest(), Soon(cancellation));
            return response.Models.Select(model => new LocatedModel(model, role));
        }));
        return [.. lists.SelectMany(list => list)];
    }

    /// <summary>The role of that name: extraction or generation.</summary>
    public ModelRole RoleNamed(string name) => _modelRoles.Single(role => role.Name == name);

    /// <summary>The model of that name, in whichever role holds it.</summary>
    /// <exception cref="CommandException">No role holds it.</exception>
    public async Task<LocatedModel> FindModelAsync(string name, CancellationToken cancellation)
    {
        var models = await ListModelsAsync(cancellation);
        return models.FirstOrDefault(model => model.Name == name)
            ?? throw new CommandException($"No role of this mesh holds a model '{name}'.", $"It holds: {string.Join(", ", models.Select(model => model.Name).Distinct())}.");
    }

    /// <summary>The model of that name in a role of that name.</summary>
    /// <exception cref="CommandException">The role does not hold it.</exception>
    public async Task<LocatedModel> FindModelAsync(string name, string role, CancellationToken cancellation) =>
        (await ListModelsAsync(cancellation)).FirstOrDefault(model => model.Name == name && model.Role.Name == role)
            ?? throw new CommandException($"The {role} role of this mesh holds no model '{name}'.");

    public async ValueTask DisposeAsync()
    {
        foreach (var channel in _channels)
        {
            channel.Dispose();
        }

        if (_standalone is not null)
        {
            await _standalone.DisposeAsync();
        }
    }

    private static ModelRole RoleOf(string name, CallInvoker calls) =>
        new(name, new ModelService.ModelServiceClient(calls), new ExtractionService.ExtractionServiceClient(calls));

    private CallInvoker Open(string address, MeshAccess? access)
    {
        try
        {
            var channel = MeshChannel.Open(address, access);
            _channels.Add(channel);
            return channel.Intercept(new EndedWrites());
        }
        catch (ArgumentException e)
        {
            throw new CommandException(e.Message, "Give an https: address in the profile.", e);
        }
    }
}

using Grpc.Core;
using Grpc.Net.Client;
using LrtMesh.Extraction;
using LrtMesh.Standalone;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.TestKit;

/// <summary>
/// A whole mesh in this process: three roles on real Kestrel over HTTP/2 and the embedded store, with random models "source" and
/// "stranger" (another tokenizer) in the extraction role and "target" in the generation role.
/// </summary>
public sealed class MeshFixture : IAsyncLifetime
{
    /// <summary>The chat template of "source" and "target"; "stranger" has none.</summary>
    private const string ChatTemplate = """
        {% for m in messages %}
        {% if m.role not in ['user', 'assistant'] %}{{ raise_exception('Only user and assistant may speak, not ' ~ m.role) }}{% endif %}
        {{ m.role }}: {{ m.content }}
        {% endfor %}
        {% if add_generation_prompt %}
        assistant:
        {%- endif %}
        """;

    private readonly List<GrpcChannel> _channels = [];
    private RunningMesh? _mesh;

    /// <summary>Its files: models and the store's folder.</summary>
    public string Folder { get; } = Directory.CreateTempSubdirectory("lrtmesh-tests-").FullName;

    /// <summary>Where the mapping role may read texts.</summary>
    public string TextRoot => Path.Combine(Folder, "texts");

    /// <summary>Where roles may load further models from.</summary>
    public string ModelRoot => Path.Combine(Folder, "loadable");

    /// <summary>The running roles.</summary>
    public RunningMesh Mesh => _mesh ?? throw new InvalidOperationException("the mesh has not started");

    /// <summary>A channel to the extraction role.</summary>
    public GrpcChannel ExtractionChannel { get; private set; } = null!;

    /// <summary>A channel to the mapping role.</summary>
    public GrpcChannel MappingChannel { get; private set; } = null!;

    /// <summary>A channel to the generation role.</summary>
    public GrpcChannel GenerationChannel { get; private set; } = null!;

    /// <summary>Models of the extraction role.</summary>
    public ModelService.ModelServiceClient Models => new(ExtractionChannel);

    /// <summary>Hidden states of the extraction role's models.</summary>
    public ExtractionService.ExtractionServiceClient Extraction => new(ExtractionChannel);

    /// <summary>Hidden states of the generation role's models.</summary>
    public ExtractionService.ExtractionServiceClient TargetExtraction => new(GenerationChannel);

    /// <summary>Maps.</summary>
    public MappingService.MappingServiceClient Mapping => new(MappingChannel);

    /// <summary>Vectors.</summary>
    public VectorService.VectorServiceClient Vectors => new(MappingChannel);

    /// <summary>Text.</summary>
    public GenerationService.GenerationServiceClient Generation => new(GenerationChannel);

    /// <summary>What the mesh was started with, for starting it again.</summary>
    public UpOptions Options => new()
    {
        DataFolder = Path.Combine(Folder, "data"),
        TextRoot = TextRoot,
        ModelRoot = ModelRoot,
        ExtractionModels = [new ModelSource("source", Path.Combine(Folder, "source")), new ModelSource("stranger", Path.Combine(Folder, "stranger"))],
        GenerationModels = [new ModelSource("target", Path.Combine(Folder, "target"))],
    };

    /// <inheritdoc/>
    public async ValueTask InitializeAsync()
    {
        var (tokenizer, other) = (Path.Combine(Folder, "tokenizer"), Path.Combine(Folder, "other"));
        TinyCheckpoint.WriteTokenizer(tokenizer);
        TinyCheckpoint.WriteTokenizer(other, sentences: 6);
        TinyCheckpoint.Write(Path.Combine(Folder, "source"), tokenizer, width: 16, layers: 3, seed: 1);
        TinyCheckpoint.Write(Path.Combine(Folder, "stranger"), other, width: 16, layers: 2, seed: 2);
        TinyCheckpoint.Write(Path.Combine(Folder, "target"), tokenizer, width: 24, layers: 4, seed: 3);
        foreach (var model in new[] { "source", "target" })
        {
            File.WriteAllText(Path.Combine(Folder, model, "chat_template.jinja"), ChatTemplate);
        }

        Directory.CreateDirectory(TextRoot);
        TinyCheckpoint.Write(Path.Combine(ModelRoot, "spare"), tokenizer, width: 16, layers: 2, seed: 4);
        await StartAsync();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        Directory.Delete(Folder, recursive: true);
    }

    /// <summary>Stops the mesh and starts it over the same data folder.</summary>
    public async Task RestartAsync()
    {
        await StopAsync();
        await StartAsync();
    }

    private async Task StartAsync()
    {
        _mesh = await RunningMesh.StartAsync(Options, CancellationToken.None);
        ExtractionChannel = Open(_mesh.Extraction!.Address);
        MappingChannel = Open(_mesh.Mapping!.Address);
        GenerationChannel = Open(_mesh.Generation!.Address);
    }

    private async Task StopAsync()
    {
        foreach (var channel in _channels)
        {
            channel.Dispose();
        }

        _channels.Clear();
        if (_mesh is not null)
        {
            await _mesh.DisposeAsync();
        }
    }

    private GrpcChannel Open(Uri address)
    {
        var channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions { Credentials = ChannelCredentials.Insecure });
        _channels.Add(channel);
        return channel;
    }
}

using System.Runtime.CompilerServices;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using LrtMesh.V1;

namespace LrtMesh.Client;

/// <summary>Generated clients of a role that holds models.</summary>
/// <param name="Models">Its models.</param>
/// <param name="Extraction">Their hidden states.</param>
public sealed record RoleClient(ModelService.ModelServiceClient Models, ExtractionService.ExtractionServiceClient Extraction);

/// <summary>
/// A mesh: a generated client for each service of each role, and its streams as <see cref="IAsyncEnumerable{T}"/>. Extraction and generation
/// roles both hold models. Calls fail with <see cref="RpcException"/>; <see cref="CallError"/> takes one apart.
/// </summary>
public sealed class MeshClient : IDisposable
{
    private readonly GrpcChannel[] _channels;

    /// <summary>Opens channels to the roles of a profile.</summary>
    /// <param name="profile">Their addresses.</param>
    /// <param name="access">What to show, and whom to trust; null: nothing, and the system's authorities.</param>
    public MeshClient(MeshProfile profile, MeshAccess? access = null)
    {
        ArgumentNullException.ThrowIfNull(profile);
        _channels = [MeshChannel.Open(profile.Extraction, access), MeshChannel.Open(profile.Mapping, access), MeshChannel.Open(profile.Generation, access)];
        var (extraction, mapping, generation) = (Calls(_channels[0]), Calls(_channels[1]), Calls(_channels[2]));
        ExtractionRole = new(new(extraction), new(extraction));
        Mapping = new(mapping);
        Vectors = new(mapping);
        GenerationRole = new(new(generation), new(generation));
        Generation = new(generation);

        static CallInvoker Calls(GrpcChannel channel) => channel.Intercept(new EndedWrites());
    }

    /// <summary>The extraction role's models: the small ones.</summary>
    public RoleClient ExtractionRole { get; }

    /// <summary>The generation role's models: the large ones.</summary>
    public RoleClient GenerationRole { get; }

    /// <summary>Maps.</summary>
    public MappingService.MappingServiceClient Mapping { get; }

    /// <summary>Vectors.</summary>
    public VectorService.VectorServiceClient Vectors { get; }

    /// <summary>Text.</summary>
    public GenerationService.GenerationServiceClient Generation { get; }

    /// <summary>Opens the mesh of a profile file, which <c>lrtmesh up</c> writes.</summary>
    public static MeshClient Open(string profile = ".lrtmesh/mesh.json", MeshAccess? access = null) => new(MeshProfile.Read(profile), access);

    /// <summary>Finds the role that holds a model.</summary>
    /// <exception cref="KeyNotFoundException">None does.</exception>
    public async Task<RoleClient> FindRoleAsync(string model, CancellationToken cancellation = default)
    {
        foreach (var role in new[] { ExtractionRole, GenerationRole })
        {
            var held = await role.Models.ListModelsAsync(new ListModelsRequest(), cancellationToken: cancellation).ConfigureAwait(false);
            if (held.Models.Any(each => each.Name == model))
            {
                return role;
            }
        }

        throw new KeyNotFoundException($"no role of this mesh holds a model '{model}'");
    }

    /// <summary>Generates: <c>started</c>, runs of <c>text</c>, <c>finished</c>. Leaving the loop cancels the call.</summary>
    public async IAsyncEnumerable<GenerateResponse> GenerateAsync(GenerateRequest request, TimeSpan? timeout = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using var call = Generation.Generate(request, Options(timeout, cancellation));
        await foreach (var part in call.ResponseStream.ReadAllAsync(cancellation).ConfigureAwait(false))
        {
            yield return part;
        }
    }

    /// <summary>Gives the states of a map job until it has ended; goes on after a broken connection, unless it breaks twice at one revision.</summary>
    public async IAsyncEnumerable<MapJob> WatchAsync(string id, TimeSpan? timeout = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ulong revision = 0, brokenAt = 0;
        while (true)
        {
            using var call = Mapping.WatchMapJob(new WatchMapJobRequest { Id = id, AfterRevision = revision }, Options(timeout, cancellation));
            while (true)
            {
                bool more;
                try
                {
                    more = await call.ResponseStream.MoveNext(cancellation).ConfigureAwait(false);
                }
                catch (RpcException e) when (e.StatusCode == StatusCode.Unavailable && revision != brokenAt)
                {
                    brokenAt = revision;
                    break;
                }

                if (!more)
                {
                    yield break;
                }

                revision = call.ResponseStream.Current.Job.Revision;
                yield return call.ResponseStream.Current.Job;
            }
        }
    }

    /// <summary>Streams hidden states of batches of texts, in order; what is not yet sent waits while what came is not yet taken.</summary>
    /// <exception cref="BrokenTensorException">What came is not what was announced.</exception>
    public IAsyncEnumerable<HiddenStates> ReadHiddenStatesAsync(
        ExtractionSpec spec, IEnumerable<IReadOnlyList<string>> batches, TimeSpan? timeout = null, CancellationToken cancellation = default) =>
        ReadHiddenStatesAsync(spec, batches.Select(texts => new TextBatch { Texts = { texts } }), timeout, cancellation);

    /// <summary>Streams hidden states of batches of texts or chats, with their spans where the spec's reduction is by span.</summary>
    /// <inheritdoc cref="ExtractionCalls.ReadHiddenStatesAsync"/>
    public async IAsyncEnumerable<HiddenStates> ReadHiddenStatesAsync(
        ExtractionSpec spec, IEnumerable<TextBatch> batches, TimeSpan? timeout = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(spec);
        var role = await FindRoleAsync(spec.Model, cancellation).ConfigureAwait(false);
        await foreach (var block in role.Extraction.ReadHiddenStatesAsync(spec, batches, timeout, cancellation).ConfigureAwait(false))
        {
            yield return block;
        }
    }

    /// <summary>Closes the channels; calls that run are cancelled.</summary>
    public void Dispose()
    {
        foreach (var channel in _channels)
        {
            channel.Dispose();
        }
    }

    private static CallOptions Options(TimeSpan? timeout, CancellationToken cancellation) => new(deadline: timeout is { } t ? DateTime.UtcNow + t : null, cancellationToken: cancellation);
}

using System.Collections.Concurrent;
using Grpc.Core;
using Grpc.Net.Client;
using Grpc.Net.Client.Balancer;
using Grpc.Net.Client.Configuration;
using LrtMesh.Core;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>A model, and the endpoint that serves its hidden states.</summary>
public sealed record LocatedModel(Model Model, ExtractionService.ExtractionServiceClient Client);

/// <summary>The endpoints that serve hidden states, and which models they hold.</summary>
public sealed class ModelEndpoints(MappingOptions options, PeerCredentials credentials) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    // How soon a dns: address's new replicas are found; without it a name is resolved anew only when a connection is lost.
    private static readonly TimeSpan NamesGrowOld = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<Uri, GrpcChannel> _channels = new();
    private readonly ServiceProvider _resolvers = new ServiceCollection().AddSingleton<ResolverFactory>(new DnsResolverFactory(NamesGrowOld)).BuildServiceProvider();

    /// <summary>Finds the models that layers belong to.</summary>
    /// <param name="layers">Layers, each with the request's fields that name it.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <returns>The model of each layer.</returns>
    /// <exception cref="LrtMeshException">
    /// NotFound: a model that no endpoint holds; OutOfRange: a layer; Unavailable: an endpoint does not answer and the others lack a model.
    /// </exception>
    internal async Task<IReadOnlyList<LocatedModel>> FindAsync(IReadOnlyList<PlannedLayer> layers, CancellationToken cancellation)
    {
        var lists = await Task.WhenAll(options.Endpoints().Select(endpoint => ListAsync(endpoint, cancellation)));
        return [.. layers.Select(layer => Find(layer, lists))];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var channel in _channels.Values)
        {
            channel.Dispose();
        }

        _resolvers.Dispose();
    }

    private static LocatedModel Find(PlannedLayer planned, (IReadOnlyList<LocatedModel> Models, string? Error)[] lists)
    {
        var end = planned.Layer;
        var models = lists.SelectMany(list => list.Models).ToArray();
        if (models.FirstOrDefault(located => located.Model.Name == end.Model) is not { } found)
        {
            var silent = lists.Select(list => list.Error).OfType<string>().ToArray();
            throw silent.Length > 0
                ? new LrtMeshException(ErrorReason.Unavailable, [new Violation(planned.ModelField, $"'{end.Model}' is not found, and {string.Join("; ", silent)}")])
                : LrtMeshException.NotFound(planned.ModelField, $"no endpoint holds a model '{end.Model}'; they hold: {string.Join(", ", models.Select(located => located.Model.Name).Distinct())}");
        }

        return end.Layer < found.Model.Layers
            ? found
            : throw new LrtMeshException(
                ErrorReason.OutOfRange, [new Violation(planned.LayerField, $"must be 0 to {found.Model.Layers - 1} for {end.Model}, not {end.Layer}")]);
    }

    private async Task<(IReadOnlyList<LocatedModel> Models, string? Error)> ListAsync(Uri endpoint, CancellationToken cancellation)
    {
        var channel = _channels.GetOrAdd(endpoint, uri => GrpcChannel.ForAddress(uri, new GrpcChannelOptions
        {
            ServiceProvider = _resolvers,
            ServiceConfig = new ServiceConfig { LoadBalancingConfigs = { new RoundRobinConfig() } },
            Credentials = credentials.For(uri),
            HttpHandler = credentials.NewHandler(),
            DisposeHttpClient = true,
        }));
        try
        {
            var response = await new ModelService.ModelServiceClient(channel).ListModelsAsync(
                new ListModelsRequest(), deadline: DateTime.UtcNow + Patience, cancellationToken: cancellation);
            var client = new ExtractionService.ExtractionServiceClient(channel);
            return ([.. response.Models.Select(model => new LocatedModel(model, client))], null);
        }
        catch (RpcException e) when (!cancellation.IsCancellationRequested)
        {
            return ([], e.StatusCode is StatusCode.Unauthenticated or StatusCode.PermissionDenied
                ? $"{endpoint} refuses this role: {e.Status.Detail} (--peer-token-file)"
                : $"{endpoint} does not answer ({e.StatusCode})");
        }
    }
}

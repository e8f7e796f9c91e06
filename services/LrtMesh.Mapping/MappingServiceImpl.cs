using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.Core.Steering;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;
using AffineMap = LrtMesh.Core.Maps.AffineMap;

namespace LrtMesh.Mapping;

/// <summary>Map jobs, maps, and what maps do to rows and vectors.</summary>
internal sealed class MappingServiceImpl(StoreConnection connection, ModelEndpoints endpoints, PushedRows pushed, CallMemory memory, MappingOptions options)
    : MappingService.MappingServiceBase
{
    /// <inheritdoc/>
    public override async Task<CreateMapJobResponse> CreateMapJob(CreateMapJobRequest request, ServerCallContext context)
    {
        // What cannot work is refused before there is a job.
        MapRequest.Check(request);
        var basis = request.Basis is { Add: true } ? (await connection.Of(context).Bases.GetAsync(request.Basis.Name, context.CancellationToken).NamedBy("basis.name")).Info : null;
        if (basis?.Models.Any(model => model.Layer.Model == request.Basis.Models[0].Model) == true)
        {
            throw LrtMeshException.Mismatch("basis.models[0].model", $"'{request.Basis.Models[0].Model}' is in the basis already");
        }

        if (request.Texts is not null)
        {
            _ = DocumentFiles.Open(request.Texts, options.TextRoot);
        }

        var plan = MapPlan.Of(request, basis);
        var models = await endpoints.FindAsync(plan.Layers, context.CancellationToken);
        MapRequest.CheckSizes(plan, models, request.Fit ?? new FitOptions(), options.MomentMemory);
        return new CreateMapJobResponse { Job = await MapJobs.CreateAsync(connection.Of(context).Jobs, request, context.CancellationToken) };
    }

    /// <inheritdoc/>
    public override async Task<GetMapJobResponse> GetMapJob(GetMapJobRequest request, ServerCallContext context) =>
        new() { Job = await connection.Of(context).Jobs.GetAsync(request.Id, context.CancellationToken) };

    /// <inheritdoc/>
    public override async Task<ListMapJobsResponse> ListMapJobs(ListMapJobsRequest request, ServerCallContext context)
    {
        var page = await connection.Of(context).Jobs.ListAsync(RequestCheck.PageSize(request.PageSize), request.PageToken, context.CancellationToken);
        return new ListMapJobsResponse { Jobs = { page.Items }, NextPageToken = page.NextToken };
    }

    /// <inheritdoc/>
    public override async Task<CancelMapJobResponse> CancelMapJob(CancelMapJobRequest request, ServerCallContext context) =>
        new() { Job = await MapJobs.CancelAsync(connection.Of(context).Jobs, request.Id, context.CancellationToken) };

    /// <inheritdoc/>
    public override async Task WatchMapJob(WatchMapJobRequest request, IServerStreamWriter<WatchMapJobResponse> responseStream, ServerCallContext context)
    {
        await foreach (var job in connection.Of(context).Jobs.WatchAsync(request.Id, request.AfterRevision, context.CancellationToken))
        {
            await responseStream.WriteAsync(new WatchMapJobResponse { Job = job }, context.CancellationToken);
        }
    }

    /// <inheritdoc/>
    public override async Task<GetMapResponse> GetMap(GetMapRequest request, ServerCallContext context) =>
        new() { Map = (await connection.Of(context).Maps.GetAsync(request.Name, request.Version, context.CancellationToken)).Info };

    /// <inheritdoc/>
    public override async Task<ListMapsResponse> ListMaps(ListMapsRequest request, ServerCallContext context)
    {
        var page = await connection.Of(context).Maps.PageAsync(request.Prefix, request.PageSize, request.PageToken, request.VersionsOf, context.CancellationToken);
        foreach (var map in page.Items)
        {
            map.Metrics?.R2PerDimension.Clear(); // a page of wide maps would not fit a message
        }

        return new ListMapsResponse { Maps = { page.Items }, NextPageToken = page.NextToken };
    }

    /// <inheritdoc/>
    public override async Task<DeleteMapResponse> DeleteMap(DeleteMapRequest request, ServerCallContext context)
    {
        await connection.Of(context).Maps.DeleteAsync(request.Name, context.CancellationToken);
        return new DeleteMapResponse();
    }

    /// <inheritdoc/>
    public override async Task<GetBasisResponse> GetBasis(GetBasisRequest request, ServerCallContext context) =>
        new() { Basis = (await connection.Of(context).Bases.GetAsync(request.Name, request.Version, context.CancellationToken)).Info };

    /// <inheritdoc/>
    public override async Task<ListBasesResponse> ListBases(ListBasesRequest request, ServerCallContext context)
    {
        var page = await connection.Of(context).Bases.PageAsync(request.Prefix, request.PageSize, request.PageToken, request.VersionsOf, context.CancellationToken);
        foreach (var basis in page.Items)
        {
            basis.Agreement.Clear(); // one a coordinate, and pairs grow with the square of the models: a page would not fit a message
            basis.Pairs.Clear();
        }

        return new ListBasesResponse { Bases = { page.Items }, NextPageToken = page.NextToken };
    }

    /// <inheritdoc/>
    public override async Task<DeleteBasisResponse> DeleteBasis(DeleteBasisRequest request, ServerCallContext context)
    {
        await connection.Of(context).Bases.DeleteAsync(request.Name, context.CancellationToken);
        return new DeleteBasisResponse();
    }

    /// <inheritdoc/>
    public override async Task<CreateBasisMapResponse> CreateBasisMap(CreateBasisMapRequest request, ServerCallContext context)
    {
        var check = new RequestCheck();
        check.Name(request.Basis, "basis");
        check.Name(request.Map, "map");
        check.Throw();
        var basis = await connection.Of(context).Bases.GetAsync(request.Basis, request.BasisVersion, context.CancellationToken).NamedBy("basis");
        var map = await connection.Of(context).Maps.PutAsync(basis.Between(request.Map, request.SourceModel, request.TargetModel), context.CancellationToken);
        return new CreateBasisMapResponse { Map = map.Info };
    }

    /// <inheritdoc/>
    public override async Task<ApplyMapResponse> ApplyMap(ApplyMapRequest request, ServerCallContext context)
    {
        var map = await MapApplication.FindAsync(connection.Of(context).Maps, request.Map, request.MapVersion, request.MapDigest, "map", context.CancellationToken);
        var (rows, distance) = MapApplication.Apply(map, request.Rows, request.WithoutBias, "rows");
        return new ApplyMapResponse { Rows = rows, MapDigest = map.Info.Digest, MapVersion = map.Info.Version, Distance = distance };
    }

    /// <inheritdoc/>
    public override Task StreamMap(IAsyncStreamReader<StreamMapRequest> requestStream, IServerStreamWriter<StreamMapResponse> responseStream, ServerCallContext context) =>
        MapApplication.RunAsync(connection.Of(context).Maps, requestStream, responseStream, context.CancellationToken);

    /// <inheritdoc/>
    public override async Task<PushRowsResponse> PushRows(IAsyncStreamReader<PushRowsRequest> requestStream, ServerCallContext context)
    {
        var (maps, refused) = await pushed.FitAsync(requestStream, context.CancellationToken);
        var response = new PushRowsResponse { RefusedRows = (ulong)refused };
        foreach (var map in Enumerable.Reverse(maps))
        {
            // Controls before their maps: who sees a map finds its control.
            response.Maps.Insert(0, (await connection.Of(context).Maps.PutAsync(map, context.CancellationToken)).Info);
        }

        return response;
    }

    /// <inheritdoc/>
    public override async Task ExportMap(ExportMapRequest request, IServerStreamWriter<ExportMapResponse> responseStream, ServerCallContext context) =>
        await MapTransport.SendAsync(await connection.Of(context).Maps.GetAsync(request.Map, request.MapVersion, context.CancellationToken).NamedBy("map"), responseStream, context.CancellationToken);

    /// <inheritdoc/>
    public override async Task<ImportMapResponse> ImportMap(IAsyncStreamReader<ImportMapRequest> requestStream, ServerCallContext context)
    {
        using var share = memory.Begin();
        var map = await MapTransport.ReceiveAsync(requestStream, share, context.CancellationToken);
        return new ImportMapResponse { Map = (await connection.Of(context).Maps.PutAsync(map, context.CancellationToken)).Info };
    }

    /// <inheritdoc/>
    public override async Task ExportBasis(ExportBasisRequest request, IServerStreamWriter<ExportBasisResponse> responseStream, ServerCallContext context) =>
        await BasisTransport.SendAsync(await connection.Of(context).Bases.GetAsync(request.Basis, request.BasisVersion, context.CancellationToken).NamedBy("basis"), responseStream, context.CancellationToken);

    /// <inheritdoc/>
    public override async Task<ImportBasisResponse> ImportBasis(IAsyncStreamReader<ImportBasisRequest> requestStream, ServerCallContext context)
    {
        using var share = memory.Begin();
        var basis = await BasisTransport.ReceiveAsync(requestStream, share, context.CancellationToken);
        return new ImportBasisResponse { Basis = (await connection.Of(context).Bases.PutAsync(basis, context.CancellationToken)).Info };
    }

    /// <inheritdoc/>
    public override async Task<TransferVectorResponse> TransferVector(TransferVectorRequest request, ServerCallContext context)
    {
        var check = new RequestCheck();
        check.Name(request.Vector, "vector");
        check.Name(request.Map, "map");
        check.Name(request.Name, "name");
        check.Throw();
        var vector = await connection.Of(context).Vectors.GetAsync(request.Vector, request.VectorVersion, context.CancellationToken).NamedBy("vector");
        var map = await MapApplication.FindAsync(connection.Of(context).Maps, request.Map, request.MapVersion, request.MapDigest, "map", context.CancellationToken);
        var mapped = MappedVector.Create(vector, map, request.Name, request.AddBias, "vector");
        return new TransferVectorResponse
        {
            Vector = (await connection.Of(context).Vectors.PutAsync(mapped, context.CancellationToken)).Info,
            Distance = MapApplication.Measure(map, vector.Elements, isState: false),
        };
    }
}

using Grpc.Core;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.V1;

namespace LrtMesh.Extraction;

/// <summary>Streams hidden states, and learns vectors from contrast pairs.</summary>
internal sealed class ExtractionServiceImpl(ModelRegistry models, VectorLearner learner, StoreConnection connection) : ExtractionService.ExtractionServiceBase
{
    /// <inheritdoc/>
    public override Task ExtractHiddenStates(
        IAsyncStreamReader<ExtractHiddenStatesRequest> requestStream, IServerStreamWriter<ExtractHiddenStatesResponse> responseStream, ServerCallContext context) =>
        ExtractionStream.RunAsync(models, requestStream, responseStream, TenantUse.Of(context), context.CancellationToken);

    /// <inheritdoc/>
    public override Task RunOn(IAsyncStreamReader<RunOnRequest> requestStream, IServerStreamWriter<RunOnResponse> responseStream, ServerCallContext context) =>
        RunOnStream.RunAsync(models, requestStream, responseStream, TenantUse.Of(context), context.CancellationToken);

    /// <inheritdoc/>
    public override Task<LearnVectorResponse> LearnVector(LearnVectorRequest request, ServerCallContext context) =>
        learner.LearnAsync(request, connection.Of(context).Vectors, TenantUse.Of(context), context.CancellationToken);
}

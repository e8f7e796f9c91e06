using System.Diagnostics;
using Grpc.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.Extraction;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.V1;

namespace LrtMesh.Generation;

/// <summary>Streams text from a model, steered, and scores given text.</summary>
internal sealed class GenerationServiceImpl(ModelRegistry models, StoreConnection connection, ILogger<GenerationServiceImpl> logger)
    : GenerationService.GenerationServiceBase
{
    private readonly MappedVectors _mapped = new();

    /// <inheritdoc/>
    /// <remarks>1. Check all of the request and resolve its steering. 2. Queue its answers. 3. Send their text as it comes, and how they ended.</remarks>
    public override async Task Generate(GenerateRequest request, IServerStreamWriter<GenerateResponse> responseStream, ServerCallContext context)
    {
        var arrived = Stopwatch.GetTimestamp();
        var cancellation = context.CancellationToken;

        // 1.
        using var lent = models.Lend(request.Model, "model");
        var model = lent.Model;
        var call = await ResolveAsync(GenerationCall.Read(request, model), request.Steering, "steering", model, context);

        var use = TenantUse.Of(context);
        use.UseTokens(call.Prompt.Count);

        // 2. Whatever ends this call early ends the generation: nobody reads it any more.
        using var abandoned = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            AnswerStream[] answers = [.. Enumerable.Range(0, GenerationCall.Samples(request)).Select(sample =>
            {
                var own = call with { Sampling = call.Sampling with { Seed = unchecked(call.Sampling.Seed + (ulong)sample) } };
                return new AnswerStream(model.Generate(own, abandoned.Token), model, request, sample, use);
            })];
            await responseStream.WriteAsync(new GenerateResponse { Started = Started(request, call, model) }, cancellation);

            // 3.
            using var writer = new OneWriter<GenerateResponse>(responseStream, cancellation);
            await Task.WhenAll(answers.Select(async answer =>
            {
                var finished = await answer.SendAsync(writer.WriteAsync, () => Stopwatch.GetElapsedTime(arrived), cancellation);
                var took = Stopwatch.GetElapsedTime(arrived).TotalMilliseconds;
                GenerationLog.Finished(logger, request.RequestId, finished.GeneratedTokens, model.Name, took, finished.Reason);
            }));
        }
        finally
        {
            await abandoned.CancelAsync();
        }
    }

    /// <inheritdoc/>
    public override async Task Converse(IAsyncStreamReader<ConverseRequest> requestStream, IServerStreamWriter<ConverseResponse> responseStream, ServerCallContext context)
    {
        using var session = await Conversation.StartAsync(requestStream, models, (request, model) =>
            ResolveAsync(GenerationCall.Read(request, model), request.Steering, "start.steering", model, context), context.CancellationToken);
        await session.RunAsync(
            responseStream,
            TenantUse.Of(context),
            (change, field) => SteeringPlan.ResolveAsync(change, field, session.Model.Description, session.Longest, VectorsOf(context), context.CancellationToken),
            context.CancellationToken);
    }

    /// <inheritdoc/>
    public override async Task<ScoreResponse> Score(ScoreRequest request, ServerCallContext context)
    {
        using var lent = models.Lend(request.Model, "model");
        var model = lent.Model;
        var calls = ScoreCall.Read(request, model);
        var plan = await SteeringPlan.ResolveAsync(
            request.Steering, "steering", model.Description, calls.Max(call => call.Prompt.Count + call.MaxTokens), VectorsOf(context), context.CancellationToken);
        TenantUse.Of(context).UseTokens(calls[0].Prompt.Count + calls.Sum(call => call.MaxTokens));
        return await ScoreCall.RunAsync([.. calls.Select(call => call with { Plan = plan, Tenant = Caller.Of(context).Tenant })], model, context.CancellationToken);
    }

    /// <summary>The first part of an answer.</summary>
    public static GenerationStarted Started(GenerateRequest request, GenerationRequest call, LoadedModel model) => new()
    {
        RequestId = request.RequestId,
        ModelDigest = model.Description.Digest,
        PromptTokens = (uint)call.Prompt.Count,
        Seed = call.Sampling.Seed,
    };

    private async Task<GenerationRequest> ResolveAsync(
        GenerationRequest call, IReadOnlyList<V1.Steering> steering, string field, LoadedModel model, ServerCallContext context) => call with
    {
        Plan = await SteeringPlan.ResolveAsync(steering, field, model.Description, call.Prompt.Count + call.MaxTokens, VectorsOf(context), context.CancellationToken),
        Tenant = Caller.Of(context).Tenant,
    };

    private VectorSource VectorsOf(ServerCallContext context)
    {
        var store = connection.Of(context);
        return new(
            (name, version, field, cancellation) => store.Vectors.GetAsync(name, version, cancellation).NamedBy(field),
            (name, version, field, cancellation) => store.Maps.GetAsync(name, version, cancellation).NamedBy(field),
            _mapped,
            store.Tenant);
    }
}

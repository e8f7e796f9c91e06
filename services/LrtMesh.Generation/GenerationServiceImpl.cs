using System.Diagnostics;
using System.Text;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.Extraction;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Generation;

/// <summary>Streams text from a model, steered.</summary>
internal sealed class GenerationServiceImpl(ModelRegistry models, StoreConnection connection, ILogger<GenerationServiceImpl> logger)
    : GenerationService.GenerationServiceBase
{
    /// <inheritdoc/>
    /// <remarks>1. Check all of the request and resolve its steering. 2. Queue it. 3. Send text as it comes. 4. Say how it ended.</remarks>
    public override async Task Generate(GenerateRequest request, IServerStreamWriter<GenerateResponse> responseStream, ServerCallContext context)
    {
        var arrived = Stopwatch.GetTimestamp();
        var cancellation = context.CancellationToken;

        // 1.
        var model = models.Find(request.Model, "model");
        var call = GenerationCall.Read(request, model);
        call = call with { Plan = await SteeringPlan.ResolveAsync(request.Steering, model.Description, (name, ct) => FindVectorAsync(request, name, ct), cancellation) };

        // 2. Whatever ends this call early ends the generation: nobody reads it any more.
        using var abandoned = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var generation = model.Generate(call, abandoned.Token);
        try
        {
            await responseStream.WriteAsync(
                new GenerateResponse
                {
                    Started = new GenerationStarted
                    {
                        RequestId = request.RequestId,
                        ModelDigest = model.Description.Digest,
                        PromptTokens = (uint)call.Prompt.Count,
                        Seed = call.Sampling.Seed,
                    },
                },
                cancellation);

            // 3.
            var stopped = await SendTextAsync(generation, model, request.Stopping?.Stop ?? [], responseStream, cancellation);

            // 4.
            var finished = Describe(await generation.Outcome, call, stopped);
            var took = Stopwatch.GetElapsedTime(arrived);
            finished.TotalTime = Duration.FromTimeSpan(took);
            await responseStream.WriteAsync(new GenerateResponse { Finished = finished }, cancellation);
            GenerationLog.Finished(logger, request.RequestId, finished.GeneratedTokens, model.Name, took.TotalMilliseconds, finished.Reason);
        }
        finally
        {
            await abandoned.CancelAsync();
        }
    }

    /// <summary>Sends text as it comes, everything that is there in one message: under load the messages are fewer and not later.</summary>
    /// <returns>Whether a stop string came.</returns>
    private static async Task<bool> SendTextAsync(
        Core.Models.Generation generation, LoadedModel model, IReadOnlyList<string> stop, IServerStreamWriter<GenerateResponse> responseStream, CancellationToken cancellation)
    {
        var characters = model.Tokenizer.NewStream();
        var matcher = new StopMatcher(stop);
        var text = new StringBuilder();
        while (!matcher.Found && await generation.Tokens.WaitToReadAsync(cancellation))
        {
            var part = new GeneratedText();
            while (!matcher.Found && generation.Tokens.TryRead(out var token))
            {
                part.TokenIds.Add((uint)token);
                // A model's embedding may be padded beyond its tokenizer; such a token stands for nothing.
                text.Append(matcher.Push(token < model.Tokenizer.VocabularySize ? characters.Push(token) : ""));
            }

            part.Text = text.ToString();
            text.Clear();
            await responseStream.WriteAsync(new GenerateResponse { Text = part }, cancellation);
        }

        if (matcher.Found)
        {
            generation.Stop();
            return true;
        }

        var rest = matcher.Push(characters.Flush()) + matcher.Flush();
        if (rest.Length > 0)
        {
            await responseStream.WriteAsync(new GenerateResponse { Text = new GeneratedText { Text = rest } }, cancellation);
        }

        return matcher.Found;
    }

    private static GenerationFinished Describe(GenerationOutcome outcome, GenerationRequest call, bool stopped)
    {
        var finished = new GenerationFinished
        {
            Reason = stopped ? FinishReason.Stop : outcome.ReachedEndOfSequence ? FinishReason.EndOfSequence : FinishReason.Length,
            PromptTokens = (uint)call.Prompt.Count,
            GeneratedTokens = (uint)outcome.Tokens,
            QueueTime = Duration.FromTimeSpan(outcome.Queued),
            TimeToFirstToken = Duration.FromTimeSpan(outcome.FirstToken),
        };
        finished.Steering.AddRange(outcome.Steering.Select(applied => new V1.AppliedSteering
        {
            Vector = applied.Steering.Vector.Info.Name,
            VectorDigest = applied.Steering.Vector.Info.Digest,
            MapDigest = applied.Steering.Vector.Info.Provenance?.MapDigest ?? "",
            Layer = (uint)applied.Steering.Layer,
            Positions = (uint)applied.Positions,
            MeanRelativeChange = applied.MeanRelativeChange,
        }));
        return finished;
    }

    private Task<SteeringVector> FindVectorAsync(GenerateRequest request, string name, CancellationToken cancellation)
    {
        var index = request.Steering.TakeWhile(steering => steering.Vector != name).Count();
        return connection.Store.Vectors.GetAsync(name, cancellation).NamedBy($"steering[{index}].vector");
    }
}

using System.Text;
using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core.Models;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.V1;

namespace LrtMesh.Generation;

/// <summary>One answer on its way to a client: its text as it comes, and its end.</summary>
/// <param name="generation">What the model makes.</param>
/// <param name="model">The model.</param>
/// <param name="request">The request.</param>
/// <param name="sample">Which of its answers.</param>
/// <param name="use">What its tenant has used.</param>
internal sealed class AnswerStream(Core.Models.Generation generation, LoadedModel model, GenerateRequest request, int sample, TenantUse use)
{
    // Of one message: with 20 log-probabilities each, about 0.2 MiB of the 4 that receivers accept.
    private const int MaxTokens = 512;

    /// <summary>Sends the answer, what is there in one message, up to a limit: under load the messages are fewer and not later.</summary>
    /// <param name="send">Sends a part.</param>
    /// <param name="sinceArrival">Time since the call arrived.</param>
    /// <param name="cancellation">Ends it.</param>
    /// <returns>The last part.</returns>
    public async Task<GenerationFinished> SendAsync(Func<GenerateResponse, Task> send, Func<TimeSpan> sinceArrival, CancellationToken cancellation)
    {
        var stopped = await SendTextAsync(send, cancellation);
        var outcome = await generation.Outcome;
        var finished = new GenerationFinished
        {
            Reason = stopped ? FinishReason.Stop : outcome.End switch
            {
                GenerationEnd.EndOfSequence => FinishReason.EndOfSequence,
                GenerationEnd.Stopped => FinishReason.Stop,
                _ => FinishReason.Length,
            },
            PromptTokens = (uint)generation.Request.Prompt.Count,
            GeneratedTokens = (uint)outcome.Tokens,
            QueueTime = Duration.FromTimeSpan(outcome.Queued),
            TimeToFirstToken = Duration.FromTimeSpan(outcome.FirstToken),
            TotalTime = Duration.FromTimeSpan(sinceArrival()),
            Sample = (uint)sample,
            Steering = { outcome.Steering.Select(Proof) },
        };
        await send(new GenerateResponse { Finished = finished });
        return finished;
    }

    /// <summary>What was applied, as the contract says it.</summary>
    public static V1.AppliedSteering Proof(Core.Models.AppliedSteering applied) => new()
    {
        Vector = applied.Steering.Vector.Info.Name,
        // What a map has just made of a stored vector has no version of its own.
        VectorVersion = applied.Steering.Vector.Info is { Version: > 0 } stored ? stored.Version : applied.Steering.Vector.Info.Provenance?.SourceVectorVersion ?? 0,
        VectorDigest = applied.Steering.Vector.Info.Digest,
        MapDigest = applied.Steering.Vector.Info.Provenance?.MapDigest ?? "",
        MapVersion = applied.Steering.Vector.Info.Provenance?.MapVersion ?? 0,
        Layer = (uint)applied.Steering.Layer,
        Positions = (uint)applied.Positions,
        MeanRelativeChange = applied.MeanRelativeChange,
    };

    /// <returns>Whether a stop string came.</returns>
    private async Task<bool> SendTextAsync(Func<GenerateResponse, Task> send, CancellationToken cancellation)
    {
        var characters = model.Tokenizer.NewStream();
        var matcher = new StopMatcher(request.Stopping?.Stop ?? []);
        var text = new StringBuilder();
        while (!matcher.Found && await generation.Tokens.WaitToReadAsync(cancellation))
        {
            var part = new GeneratedText { Sample = (uint)sample };
            while (!matcher.Found && part.TokenIds.Count < MaxTokens && generation.Tokens.TryRead(out var token))
            {
                part.TokenIds.Add((uint)token.Id);
                if (token.Logprobs is { } logprobs)
                {
                    part.Logprobs.Add(new V1.TokenLogprobs
                    {
                        Logprob = logprobs.Chosen,
                        Top = { logprobs.Top.Select(top => new TokenLogprob { TokenId = (uint)top.Token, Logprob = top.Logprob }) },
                    });
                }

                // A model's embedding may be padded beyond its tokenizer; such a token stands for nothing.
                text.Append(matcher.Push(token.Id < model.Tokenizer.VocabularySize ? characters.Push(token.Id) : ""));
            }

            use.UseTokens(part.TokenIds.Count);
            part.Text = text.ToString();
            text.Clear();
            await send(new GenerateResponse { Text = part });
        }

        if (matcher.Found)
        {
            generation.Stop();
            return true;
        }

        var rest = matcher.Push(characters.Flush()) + matcher.Flush();
        if (rest.Length > 0)
        {
            await send(new GenerateResponse { Text = new GeneratedText { Text = rest, Sample = (uint)sample } });
        }

        return matcher.Found;
    }
}

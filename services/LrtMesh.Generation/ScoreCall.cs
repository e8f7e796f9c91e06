using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;
using Input = LrtMesh.V1.Continuation.InputOneofCase;

namespace LrtMesh.Generation;

/// <summary>Continuations as generations whose tokens are given: each token's log-probability is the answer.</summary>
internal static class ScoreCall
{
    private const int MaxContinuations = 256;
    private const int MaxTokens = 1 << 17; // of one answer: 16 bytes each at most, which keeps it below the 4 MiB that receivers accept

    /// <summary>Checks everything of a request but its steering.</summary>
    /// <exception cref="Core.LrtMeshException">InvalidArgument or OutOfRange, naming every wrong field.</exception>
    public static GenerationRequest[] Read(ScoreRequest request, LoadedModel model)
    {
        var check = new RequestCheck();
        var prompt = PromptTokens.Of(request.HasPrompt ? request.Prompt : null, request.PromptIds, request.Chat, model, check);
        check.Require(
            request.Continuations.Count is > 0 and <= MaxContinuations, "continuations", $"must be 1 to {MaxContinuations}, not {request.Continuations.Count}");
        var calls = request.Continuations.Select((continuation, i) => Read(continuation, $"continuations[{i}]", prompt, model, check)).ToArray();
        var tokens = calls.Sum(call => (long)call.MaxTokens);
        check.Require(tokens <= MaxTokens, "continuations", $"must hold at most {MaxTokens} tokens together, not {tokens}: score them in several calls");
        check.Throw();
        return calls;
    }

    /// <summary>Scores.</summary>
    public static async Task<ScoreResponse> RunAsync(GenerationRequest[] calls, LoadedModel model, CancellationToken cancellation)
    {
        // Whatever ends one early ends all.
        using var abandoned = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            Core.Models.Generation[] generations = [.. calls.Select(call => model.Generate(call, abandoned.Token))];
            var response = new ScoreResponse();
            foreach (var generation in generations)
            {
                response.Scores.Add(await ScoreAsync(generation, cancellation));
            }

            return response;
        }
        finally
        {
            await abandoned.CancelAsync();
        }
    }

    private static GenerationRequest Read(Continuation continuation, string field, int[] prompt, LoadedModel model, RequestCheck check)
    {
        int[] tokens = [];
        switch (continuation.InputCase)
        {
            case Input.Text:
                tokens = [.. model.Tokenizer.Encode(continuation.Text, addSpecialTokens: false).Select(token => token.Id)];
                check.Require(tokens.Length > 0, $"{field}.text", "must hold at least one token");
                break;
            case Input.Ids:
                tokens = PromptTokens.Of(continuation.Ids, $"{field}.ids", model, check);
                break;
            default:
                check.Require(false, field, "must be text or ids");
                break;
        }

        check.RequireRange(
            prompt.Length + (long)tokens.Length <= model.LongestSequence,
            field,
            $"has {tokens.Length} tokens after {prompt.Length} of the prompt, and {PromptTokens.Bound(model)}");
        return new GenerationRequest(prompt, SamplingOptions.Greedy with { Logprobs = 1 }, tokens.Length, IgnoreEndOfSequence: true, SteeringPlan.None) { Forced = tokens };
    }

    private static async Task<ContinuationScore> ScoreAsync(Core.Models.Generation generation, CancellationToken cancellation)
    {
        var score = new ContinuationScore { Greedy = true };
        await foreach (var token in generation.Tokens.ReadAllAsync(cancellation))
        {
            var logprobs = token.Logprobs!;
            score.Tokens.Add(new TokenLogprob { TokenId = (uint)token.Id, Logprob = logprobs.Chosen });
            score.Logprob += logprobs.Chosen;
            score.Greedy &= logprobs.Chosen >= logprobs.Top[0].Logprob;
        }

        score.Steering.AddRange((await generation.Outcome).Steering.Select(AnswerStream.Proof));
        return score;
    }
}

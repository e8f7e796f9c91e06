using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;
using Input = LrtMesh.V1.GenerateRequest.InputOneofCase;

namespace LrtMesh.Generation;

/// <summary>A request, checked, as the model takes it.</summary>
internal static class GenerationCall
{
    private const int DefaultMaxTokens = 128;
    private const double MaxTemperature = 10;
    private const int MaxStops = 16;
    private const int MaxSteerings = 64; // a live sequence keeps one bit for each

    /// <summary>Checks everything of a request but its steering.</summary>
    /// <exception cref="Core.LrtMeshException">InvalidArgument or OutOfRange, naming every wrong field.</exception>
    public static GenerationRequest Read(GenerateRequest request, LoadedModel model)
    {
        var check = new RequestCheck();
        var prompt = Prompt(request, model, check);
        var sampling = Sampling(request.Sampling ?? new Sampling(), check);
        var maxTokens = MaxTokens(request, prompt.Length, model, check);
        var stop = request.Stopping?.Stop ?? [];
        check.Require(stop.Count <= MaxStops, "stopping.stop", $"must be at most {MaxStops} strings, not {stop.Count}");
        for (var i = 0; i < stop.Count; i++)
        {
            check.Require(stop[i].Length > 0, $"stopping.stop[{i}]", "must not be empty");
        }

        check.Require(request.Steering.Count <= MaxSteerings, "steering", $"must be at most {MaxSteerings} entries, not {request.Steering.Count}");
        check.Throw();
        return new GenerationRequest(prompt, sampling, maxTokens, request.Stopping?.IgnoreEos ?? false, SteeringPlan.None);
    }

    private static int[] Prompt(GenerateRequest request, LoadedModel model, RequestCheck check)
    {
        switch (request.InputCase)
        {
            case Input.Prompt:
                check.Require(request.Prompt.Length > 0, "prompt", "must not be empty");
                return [.. model.Tokenizer.Encode(request.Prompt, addSpecialTokens: true).Select(token => token.Id)];
            case Input.PromptIds:
                var ids = request.PromptIds.Ids;
                check.Require(ids.Count > 0, "prompt_ids.ids", "must hold at least one token");
                for (var i = 0; i < ids.Count; i++)
                {
                    check.Require(
                        ids[i] < model.Description.Vocabulary, $"prompt_ids.ids[{i}]", $"must be below {model.Description.Vocabulary}, the vocabulary of {model.Name}, not {ids[i]}");
                }

                return [.. ids.Select(id => (int)id)];
            case Input.Chat:
                return [.. model.Encode(request.Chat, addGenerationPrompt: true, "chat").Select(token => token.Id)];
            default:
                check.Require(false, "input", "must be prompt, prompt_ids or chat");
                return [];
        }
    }

    private static SamplingOptions Sampling(Sampling sampling, RequestCheck check)
    {
        var temperature = sampling.HasTemperature ? sampling.Temperature : 1;
        var topP = sampling.HasTopP ? sampling.TopP : 1;
        check.Require(temperature is >= 0 and <= MaxTemperature, "sampling.temperature", $"must be 0 (greedy) to {MaxTemperature}, not {temperature}");
        check.Require(topP is > 0 and <= 1, "sampling.top_p", $"must be above 0 and at most 1, not {topP}");
        return new SamplingOptions(
            temperature,
            (int)Math.Min(sampling.TopK, int.MaxValue),
            topP,
            sampling.HasSeed ? sampling.Seed : (ulong)Random.Shared.NextInt64());
    }

    private static int MaxTokens(GenerateRequest request, int prompt, LoadedModel model, RequestCheck check)
    {
        var given = request.Stopping?.MaxTokens ?? 0;
        var maxTokens = given == 0 ? DefaultMaxTokens : given;
        var context = model.Description.Context;
        if (prompt >= context)
        {
            check.RequireRange(
                false, request.InputCase switch { Input.Prompt => "prompt", Input.Chat => "chat", _ => "prompt_ids.ids" }, $"has {prompt} tokens, and the context of {model.Name} is {context}: at least one must be left to generate");
        }
        else
        {
            check.RequireRange(
                prompt + (long)maxTokens <= context,
                "stopping.max_tokens",
                $"must be at most {context - prompt}, not {maxTokens}{(given == 0 ? " (the default)" : "")}: the prompt has {prompt} tokens and the context of {model.Name} is {context}");
        }

        return (int)Math.Min(maxTokens, int.MaxValue);
    }
}

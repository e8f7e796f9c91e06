using LrtMesh.Core.Models;
using LrtMesh.Core.Steering;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Generation;

/// <summary>A request, checked, as the model takes it.</summary>
internal static class GenerationCall
{
    private const int DefaultMaxTokens = 128;
    private const double MaxTemperature = 10;
    private const double MaxRepetitionPenalty = 10;
    private const double MaxPenalty = 2;
    private const int MaxBiases = 1024;
    private const int MaxLogprobs = 20;
    private const int MaxSamples = 16;
    private const int MaxStops = 16;

    /// <summary>How many answers a request asks for.</summary>
    public static int Samples(GenerateRequest request) => request.Sampling?.Samples is > 1 and var samples ? (int)samples : 1;

    /// <summary>Checks everything of a request but its steering.</summary>
    /// <exception cref="Core.LrtMeshException">InvalidArgument or OutOfRange, naming every wrong field.</exception>
    public static GenerationRequest Read(GenerateRequest request, LoadedModel model)
    {
        var check = new RequestCheck();
        var prompt = PromptTokens.Of(request.HasPrompt ? request.Prompt : null, request.PromptIds, request.Chat, model, check);
        var sampling = Sampling(request.Sampling ?? new Sampling(), model, check);
        var maxTokens = MaxTokens(request, prompt.Length, model, check);
        CheckStops(request.Stopping ?? new Stopping(), model, check);
        check.Throw();
        return new GenerationRequest(prompt, sampling, maxTokens, request.Stopping?.IgnoreEos ?? false, SteeringPlan.None)
        {
            StopTokens = request.Stopping?.StopTokenIds.Select(id => (int)id).ToHashSet() ?? [],
        };
    }

    private static SamplingOptions Sampling(Sampling sampling, LoadedModel model, RequestCheck check)
    {
        var temperature = sampling.HasTemperature ? sampling.Temperature : 1;
        var topP = sampling.HasTopP ? sampling.TopP : 1;
        var repetition = sampling.HasRepetitionPenalty ? sampling.RepetitionPenalty : 1;
        check.Require(temperature is >= 0 and <= MaxTemperature, "sampling.temperature", $"must be 0 (greedy) to {MaxTemperature}, not {temperature}");
        check.Require(topP is > 0 and <= 1, "sampling.top_p", $"must be above 0 and at most 1, not {topP}");
        check.Require(sampling.MinP is >= 0 and <= 1, "sampling.min_p", $"must be 0 (all) to 1, not {sampling.MinP}");
        check.Require(repetition is > 0 and <= MaxRepetitionPenalty, "sampling.repetition_penalty", $"must be above 0 and at most {MaxRepetitionPenalty}, not {repetition}");
        foreach (var (name, penalty) in new[] { ("presence", sampling.PresencePenalty), ("frequency", sampling.FrequencyPenalty) })
        {
            check.Require(penalty is >= -MaxPenalty and <= MaxPenalty, $"sampling.{name}_penalty", $"must be -{MaxPenalty} to {MaxPenalty}, not {penalty}");
        }

        check.Require(sampling.Logprobs <= MaxLogprobs, "sampling.logprobs", $"must be at most {MaxLogprobs}, not {sampling.Logprobs}");
        check.Require(sampling.Samples <= MaxSamples, "sampling.samples", $"must be at most {MaxSamples}, not {sampling.Samples}");
        return new SamplingOptions(
            temperature,
            (int)Math.Min(sampling.TopK, int.MaxValue),
            topP,
            sampling.HasSeed ? sampling.Seed : (ulong)Random.Shared.NextInt64())
        {
            MinP = sampling.MinP,
            RepetitionPenalty = repetition,
            PresencePenalty = sampling.PresencePenalty,
            FrequencyPenalty = sampling.FrequencyPenalty,
            LogitBias = Biases(sampling, model, check),
            Logprobs = sampling.HasLogprobs ? (int)Math.Min(sampling.Logprobs, MaxLogprobs) : null,
        };
    }

    private static Dictionary<int, float> Biases(Sampling sampling, LoadedModel model, RequestCheck check)
    {
        var biases = new Dictionary<int, float>();
        check.Require(sampling.LogitBias.Count <= MaxBiases, "sampling.logit_bias", $"must be at most {MaxBiases} tokens, not {sampling.LogitBias.Count}");
        for (var i = 0; i < sampling.LogitBias.Count; i++)
        {
            var (token, bias) = (sampling.LogitBias[i].TokenId, (float)sampling.LogitBias[i].Bias);
            check.Require(token < model.Description.Vocabulary, $"sampling.logit_bias[{i}].token_id", $"must be below {model.Description.Vocabulary}, the vocabulary of {model.Name}, not {token}");
            check.Require(float.IsFinite(bias), $"sampling.logit_bias[{i}].bias", $"must be a finite number, and it is {sampling.LogitBias[i].Bias}");
            check.Require(biases.TryAdd((int)Math.Min(token, int.MaxValue), bias), $"sampling.logit_bias[{i}].token_id", $"must come once, and {token} came before");
        }

        return biases;
    }

    private static void CheckStops(Stopping stopping, LoadedModel model, RequestCheck check)
    {
        check.Require(stopping.Stop.Count <= MaxStops, "stopping.stop", $"must be at most {MaxStops} strings, not {stopping.Stop.Count}");
        for (var i = 0; i < stopping.Stop.Count; i++)
        {
            check.Require(stopping.Stop[i].Length > 0, $"stopping.stop[{i}]", "must not be empty");
        }

        var tokens = stopping.StopTokenIds;
        check.Require(tokens.Count <= MaxStops, "stopping.stop_token_ids", $"must be at most {MaxStops} tokens, not {tokens.Count}");
        for (var i = 0; i < tokens.Count; i++)
        {
            check.Require(tokens[i] < model.Description.Vocabulary, $"stopping.stop_token_ids[{i}]", $"must be below {model.Description.Vocabulary}, the vocabulary of {model.Name}, not {tokens[i]}");
        }
    }

    private static int MaxTokens(GenerateRequest request, int prompt, LoadedModel model, RequestCheck check)
    {
        var given = request.Stopping?.MaxTokens ?? 0;
        var maxTokens = given == 0 ? DefaultMaxTokens : given;
        var longest = model.LongestSequence;
        if (prompt >= longest)
        {
            check.RequireRange(
                false, request.HasPrompt ? "prompt" : request.Chat is not null ? "chat" : "prompt_ids.ids", $"has {prompt} tokens, and {PromptTokens.Bound(model)}: at least one must be left to generate");
        }
        else
        {
            check.RequireRange(
                prompt + (long)maxTokens <= longest,
                "stopping.max_tokens",
                $"must be at most {longest - prompt}, not {maxTokens}{(given == 0 ? " (the default)" : "")}: the prompt has {prompt} tokens and {PromptTokens.Bound(model)}");
        }

        return (int)Math.Min(maxTokens, int.MaxValue);
    }
}

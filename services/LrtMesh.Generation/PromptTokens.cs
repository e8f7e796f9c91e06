using LrtMesh.Core.Models;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Generation;

/// <summary>The tokens of what a request gives to go on from.</summary>
internal static class PromptTokens
{
    /// <summary>The tokens; none where the request is wrong.</summary>
    /// <param name="text">A text; null: another input.</param>
    /// <param name="ids">Token ids; null: another input.</param>
    /// <param name="chat">A conversation; null: another input.</param>
    /// <param name="model">The model.</param>
    /// <param name="check">Notes what is wrong.</param>
    public static int[] Of(string? text, TokenIds? ids, Chat? chat, LoadedModel model, RequestCheck check)
    {
        var tokens = Split(text, ids, chat, model, check);
        check.RequireRange(
            tokens.Length <= model.LongestPrompt, text is not null ? "prompt" : chat is not null ? "chat" : "prompt_ids.ids", $"has {tokens.Length} tokens, and this server takes at most {model.LongestPrompt} (--max-prompt-tokens)");
        return tokens;
    }

    private static int[] Split(string? text, TokenIds? ids, Chat? chat, LoadedModel model, RequestCheck check)
    {
        if (text is not null)
        {
            int[] tokens = [.. model.Tokenizer.Encode(text, addSpecialTokens: true).Select(token => token.Id)];
            check.Require(tokens.Length > 0 && text.Length > 0, "prompt", text.Length == 0 ? "must not be empty" : NoTokens(model));
            return tokens;
        }

        if (ids is not null)
        {
            return Of(ids, "prompt_ids", model, check);
        }

        if (chat is not null)
        {
            return [.. model.Encode(chat, addGenerationPrompt: true, "chat").Select(token => token.Id)];
        }

        check.Require(false, "input", "must be prompt, prompt_ids or chat");
        return [];
    }

    /// <summary>Ids that a client gives.</summary>
    public static int[] Of(TokenIds ids, string field, LoadedModel model, RequestCheck check)
    {
        check.Require(ids.Ids.Count > 0, $"{field}.ids", "must hold at least one token");
        for (var i = 0; i < ids.Ids.Count; i++)
        {
            check.Require(
                ids.Ids[i] < model.Description.Vocabulary, $"{field}.ids[{i}]", $"must be below {model.Description.Vocabulary}, the vocabulary of {model.Name}, not {ids.Ids[i]}");
        }

        return [.. ids.Ids.Select(id => (int)id)];
    }

    /// <summary>What is wrong with a text of which a tokenizer leaves nothing, such as spaces that it strips.</summary>
    private static string NoTokens(LoadedModel model) => $"must hold at least one token: the tokenizer of {model.Name} leaves nothing of it";

    /// <summary>What bounds a sequence of a model, in words.</summary>
    public static string Bound(LoadedModel model) => model.LongestSequence == model.Description.Context
        ? $"the context of {model.Name} is {model.LongestSequence}"
        : $"the memory for keys and values of {model.Name} holds {model.LongestSequence}";
}

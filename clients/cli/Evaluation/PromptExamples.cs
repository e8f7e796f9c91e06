using System.Text.RegularExpressions;
using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>
/// The prompt baseline: a behaviour asked for by example. A sentence that shows it, taken from the contrast pairs, is put into the prompt after its
/// title, as if the story had begun with it; where behaviours show in answers, a pair's question and its matching answer come first.
/// </summary>
internal sealed partial class PromptExamples(LocatedModel target)
{
    /// <summary>Prompts with an example, as many as there are prompts, each within the model's context with room for what is generated.</summary>
    /// <exception cref="CommandException">No example of the behaviour leaves room for a prompt.</exception>
    public async Task<PromptInput[]> WithExampleAsync(Behaviour behaviour, IReadOnlyList<BehaviourPrompt> prompts, CancellationToken cancellation)
    {
        Func<BehaviourPrompt, PromptInput>[] examples = behaviour.Detector is { } detector
            ? [.. behaviour.Contrast
                .SelectMany(pair => SentenceEnd().Split(Body(pair.Positive)).SkipLast(1))
                .Where(detector.Shows)
                .Distinct()
                .Select<string, Func<BehaviourPrompt, PromptInput>>(example => prompt => new PromptInput(Insert(prompt.Text, example)))]
            : [.. behaviour.Contrast.Select<FramedPair, Func<BehaviourPrompt, PromptInput>>(pair => prompt => After(pair, prompt))];
        var with = new PromptInput[prompts.Count];
        for (int p = 0; p < prompts.Count; p++)
        {
            with[p] = await FirstThatFitsAsync(behaviour, prompts[p], examples, p, cancellation);
        }

        return with;
    }

    private async Task<PromptInput> FirstThatFitsAsync(Behaviour behaviour, BehaviourPrompt prompt, Func<BehaviourPrompt, PromptInput>[] examples, int from, CancellationToken cancellation)
    {
        for (int i = 0; i < examples.Length; i++)
        {
            var input = examples[(from + i) % examples.Length](prompt);
            // A conversation's plain form has about as many tokens.
            var tokens = await target.Role.Models.TokenizeAsync(new TokenizeRequest { Model = target.Name, Text = input.Text, AddSpecialTokens = true }, Mesh.Soon(cancellation));
            if (tokens.Tokens.Count + Room(input) <= target.Model.Context)
            {
                return input;
            }
        }

        throw new CommandException($"{behaviour.Name}: no example from its contrast pairs fits {target.Name}'s context of {target.Model.Context} tokens before the prompt '{prompt.Text}'.");
    }

    // For what is generated or scored, and what a template writes around messages.
    private static uint Room(PromptInput input) => input.Chat is null ? Sampler.NewTokens : 4 * Sampler.NewTokens;

    // A question of another pair, answered as the behaviour would.
    private PromptInput After(FramedPair pair, BehaviourPrompt prompt)
    {
        if (pair.Exchange is not { } exchange || prompt.Chat is not { } question)
        {
            return new PromptInput($"{pair.Positive}\n\n{prompt.Text}");
        }

        var chat = Chats.With(exchange.Chat, exchange.Positive);
        chat.Messages.AddRange(question.Messages);
        return new PromptInput(Chats.Plain(chat), target.Model.ReadsChats ? chat : null);
    }

    // The title is the first line.
    private static string Insert(string prompt, string example)
    {
        int line = prompt.IndexOf('\n', StringComparison.Ordinal);
        return line < 0 ? $"{prompt}\n{example}" : $"{prompt[..(line + 1)]}{example} {prompt[(line + 1)..]}";
    }

    private static string Body(string text) => text[(text.IndexOf('\n', StringComparison.Ordinal) + 1)..];

    [GeneratedRegex(@"(?<=[.!?]""?) (?=[A-Z])")]
    private static partial Regex SentenceEnd();
}

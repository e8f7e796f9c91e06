using System.Text.RegularExpressions;
using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>
/// The prompt baseline: a behaviour asked for by example. A sentence that shows it, taken from the contrast pairs, is put into the prompt after its
/// title, as if the story had begun with it.
/// </summary>
internal sealed partial class PromptExamples(LocatedModel target)
{
    /// <summary>Prompts with an example, as many as there are prompts, each within the model's context with room for what is generated.</summary>
    /// <exception cref="CommandException">No example of the behaviour leaves room for a prompt.</exception>
    public async Task<string[]> WithExampleAsync(Behaviour behaviour, IReadOnlyList<BehaviourPrompt> prompts, CancellationToken cancellation)
    {
        string[] examples = [.. behaviour.Contrast
            .SelectMany(pair => SentenceEnd().Split(Body(pair.Positive)).SkipLast(1))
            .Where(behaviour.Detector.Shows)
            .Distinct()];
        string[] with = new string[prompts.Count];
        for (int p = 0; p < prompts.Count; p++)
        {
            with[p] = await FirstThatFitsAsync(behaviour, prompts[p].Text, examples, p, cancellation);
        }

        return with;
    }

    private async Task<string> FirstThatFitsAsync(Behaviour behaviour, string prompt, string[] examples, int from, CancellationToken cancellation)
    {
        for (int i = 0; i < examples.Length; i++)
        {
            string text = Insert(prompt, examples[(from + i) % examples.Length]);
            var tokens = await target.Role.Models.TokenizeAsync(new TokenizeRequest { Model = target.Name, Text = text, AddSpecialTokens = true }, Mesh.Soon(cancellation));
            if (tokens.Tokens.Count + Sampler.NewTokens <= target.Model.Context)
            {
                return text;
            }
        }

        throw new CommandException($"{behaviour.Name}: no example from its contrast pairs fits {target.Name}'s context of {target.Model.Context} tokens before the prompt '{prompt}'.");
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

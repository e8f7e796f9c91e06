using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>A prompt and the continuations whose probability is asked for.</summary>
internal sealed record ScoreItem(PromptInput Prompt, IReadOnlyList<Continuation> Continuations, SteeredBy? Steering)
{
    /// <summary>A prompt's two ways on: first the one that shows the behaviour.</summary>
    /// <param name="input">What comes before them: the prompt, or the prompt after an example.</param>
    public static ScoreItem Of(BehaviourPrompt prompt, PromptInput input, SteeredBy? steering)
    {
        // A conversation's answer begins where the template lets it; and after a title alone comes a new line, which an example has taken.
        Func<string, string> way = input.Chat is not null ? text => text.TrimStart()
            : prompt.Chat is null && input.Text != prompt.Text && !prompt.Text.Contains('\n', StringComparison.Ordinal) ? text => " " + text.TrimStart()
            : text => text;
        return new ScoreItem(input, [new() { Text = way(prompt.Positive) }, new() { Text = way(prompt.Negative) }], steering);
    }
}

/// <summary>A continuation's score.</summary>
/// <param name="Logprob">Natural logarithm of its probability.</param>
/// <param name="Tokens">Its tokens.</param>
internal sealed record Scored(double Logprob, int Tokens);

/// <summary>Scores many continuations at once, and checks the proof of steering of each.</summary>
/// <param name="log">Where answers are kept; null: nowhere.</param>
internal sealed class Scorer(GenerationService.GenerationServiceClient generation, Model model, AnswerLog? log = null)
{
    /// <summary>The scores of each item's continuations, in the order of the items.</summary>
    /// <param name="report">Takes (done, total).</param>
    /// <exception cref="CommandException">An answer was not steered as asked.</exception>
    public Task<Scored[][]> RunAsync(IReadOnlyList<ScoreItem> items, Action<long, long> report, CancellationToken cancellation) =>
        ManyCalls.RunAsync(items, item => item.Prompt.Text, item => RunAsync(item, cancellation), report, cancellation);

    private Task<Scored[]> RunAsync(ScoreItem item, CancellationToken cancellation)
    {
        var request = new ScoreRequest { Model = model.Name, Continuations = { item.Continuations } };
        if (item.Prompt.Chat is { } chat)
        {
            request.Chat = chat;
        }
        else
        {
            request.Prompt = item.Prompt.Text;
        }

        return log is null ? AskAsync() : log.GetAsync(AnswerLog.Key(model.Digest, request, item.Steering), AskAsync);

        Task<Scored[]> AskAsync() => ManyCalls.WhenFreeAsync(() => ScoreAsync(request, item.Steering, cancellation), cancellation);
    }

    private async Task<Scored[]> ScoreAsync(ScoreRequest request, SteeredBy? steering, CancellationToken cancellation)
    {
        var response = await generation.ScoreAsync(steering is null ? request : new ScoreRequest(request) { Steering = { steering.ToSteering() } }, Mesh.Long(cancellation));
        foreach (var score in response.Scores)
        {
            SteeredBy.CheckProof(steering, score.Steering);
        }

        return [.. response.Scores.Select(score => new Scored(score.Logprob, score.Tokens.Count))];
    }
}

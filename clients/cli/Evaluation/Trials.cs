using LrtMesh.V1;

namespace LrtMesh.Cli.Evaluation;

/// <summary>A prompt of a behaviour, under a steering or none.</summary>
/// <param name="Input">What the model reads: the prompt, or the prompt after an example.</param>
/// <param name="Seed">Of what is generated; trials that share it and the prompt are paired.</param>
internal sealed record Trial(Behaviour Behaviour, BehaviourPrompt Prompt, PromptInput Input, ulong Seed, SteeredBy? Steering);

/// <summary>What came of a trial: the text that was generated, or the answer that was more probable.</summary>
internal sealed record Outcome(string Text, bool Shows);

/// <summary>
/// Whether behaviours show: in what the model writes, for those that a detector can tell, and otherwise in which of a prompt's two answers it takes
/// to be more probable.
/// </summary>
internal sealed class Trials(Sampler sampler, Scorer scorer)
{
    /// <summary>Of a model that a role serves.</summary>
    /// <param name="log">Where answers are kept; null: nowhere.</param>
    public static Trials Of(GenerationService.GenerationServiceClient generation, Model model, AnswerLog? log) => new(new Sampler(generation, model, log), new Scorer(generation, model, log));

    /// <summary>The outcomes, in the order of the trials.</summary>
    /// <param name="report">Takes (done, total).</param>
    /// <exception cref="CommandException">An answer was not steered as asked.</exception>
    public async Task<Outcome[]> RunAsync(IReadOnlyList<Trial> trials, Action<long, long> report, CancellationToken cancellation)
    {
        var outcomes = new Outcome[trials.Count];
        int[] written = [.. Enumerable.Range(0, trials.Count).Where(t => trials[t].Behaviour.Detector is not null)];
        int[] chosen = [.. Enumerable.Range(0, trials.Count).Where(t => trials[t].Behaviour.Detector is null)];
        var texts = await sampler.RunAsync([.. written.Select(t => new Sample(trials[t].Input.Text, trials[t].Seed, trials[t].Steering))], (done, _) => report(done, trials.Count), cancellation);
        foreach (var (t, text) in written.Zip(texts))
        {
            outcomes[t] = new Outcome(text.Text, trials[t].Behaviour.Detector!.Shows(text.Text));
        }

        var scores = await scorer.RunAsync([.. chosen.Select(t => ScoreItem.Of(trials[t].Prompt, trials[t].Input, trials[t].Steering))], (done, _) => report(written.Length + done, trials.Count), cancellation);
        foreach (var (t, ways) in chosen.Zip(scores))
        {
            bool shows = ways[0].Logprob > ways[1].Logprob;
            outcomes[t] = new Outcome(shows ? trials[t].Prompt.Positive : trials[t].Prompt.Negative, shows);
        }

        return outcomes;
    }
}

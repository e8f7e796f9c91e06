using LrtMesh.Core.Steering;

namespace LrtMesh.Core.Models;

/// <summary>A sequence that waits for the running batch or is in it: its tokens, its place, and its steering.</summary>
internal sealed class LiveSequence
{
    private readonly List<int> _tokens;
    private readonly Sampler _sampler;
    private TimeSpan _queued;
    private TimeSpan _firstToken;

    public LiveSequence(Generation generation, SteeringTable table, int layers)
    {
        Generation = generation;
        _sampler = new Sampler(generation.Request.Sampling, generation.Request.Prompt);
        Steering = new SequenceSteering(generation.Request.Plan, table, PromptLength, layers);
        Prefix = Steering.Prefix(generation.Request.Prompt);
        if (Prefix.Length > 0)
        {
            Prefix[0] = Prefix[0].Of(generation.Request.Tenant);
        }

        _tokens = [.. generation.Request.Prompt];
    }

    public Generation Generation { get; }

    public SequenceSteering Steering { get; }

    /// <summary>Tokens of the prompt.</summary>
    public int PromptLength => Generation.Request.Prompt.Count;

    /// <summary>The prompt without its last token, which is read like a generated one.</summary>
    public PrefixToken[] Prefix { get; }

    /// <summary>The positions that it may come to hold in the cache.</summary>
    public int Longest => PromptLength + Generation.Request.MaxTokens;

    /// <summary>The prompt and what was generated after it.</summary>
    public IReadOnlyList<int> Tokens => _tokens;

    /// <summary>Tokens whose keys and values are in the cache.</summary>
    public int Cached { get; set; }

    /// <summary>Tokens of the prefix that are still to be read.</summary>
    public int Unread => Prefix.Length - Cached;

    private int Generated => _tokens.Count - PromptLength;

    /// <summary>Says that the first step that computes for it begins.</summary>
    public void Begin() => _queued = Generation.SinceArrival;

    /// <summary>Starts after a prefix that is in the cache already.</summary>
    /// <param name="changes">What its steering did there, one entry a position.</param>
    public void Resume(IReadOnlyList<float[]> changes)
    {
        Cached = changes.Count;
        Steering.Resume(changes);
    }

    /// <summary>Takes over changes of its steering: they hold from the next token on, and never within the prompt.</summary>
    public void TakeChanges() => Generation.TakeChanges(plan =>
    {
        var from = Math.Max(Cached, PromptLength);
        Steering.Change(plan, from);
        return from;
    });

    /// <summary>Chooses its next token; true if the sequence ended with it.</summary>
    /// <param name="scores">[vocabulary], overwritten.</param>
    /// <param name="endOfSequence">The model's end-of-sequence tokens.</param>
    public bool Choose(Span<float> scores, IReadOnlySet<int> endOfSequence)
    {
        if (Generated == 0)
        {
            _firstToken = Generation.SinceArrival;
        }

        var request = Generation.Request;
        var own = request.Sampling.Logprobs is null ? [] : scores.ToArray();
        var token = request.Forced.Count > 0 ? request.Forced[Generated] : _sampler.Choose(scores);
        _tokens.Add(token);
        GenerationEnd? end = request.StopTokens.Contains(token) ? GenerationEnd.Stopped
            : endOfSequence.Contains(token) && !request.IgnoreEndOfSequence ? GenerationEnd.EndOfSequence
            : null;
        if (end is null)
        {
            Generation.Emit(new GeneratedToken(token, request.Sampling.Logprobs is { } top ? TokenLogprobs.Of(own, token, top) : null));
            end = Generated < request.MaxTokens ? null : GenerationEnd.MaxTokens;
        }

        if (end is { } why)
        {
            Finish(why);
        }

        return end is not null;
    }

    /// <summary>Tells how it ended.</summary>
    public void Finish(GenerationEnd end) =>
        Generation.Finish(new GenerationOutcome(end, Generated, Steering.Applied, _queued, _firstToken) { Took = Generation.SinceArrival });
}

using LrtMesh.Core.Steering;

namespace LrtMesh.Core.Models;

/// <summary>A sequence that waits for the running batch or is in it: its tokens, its place, and its steering.</summary>
internal sealed class LiveSequence
{
    private readonly List<int> _tokens;
    private TimeSpan _queued;
    private TimeSpan _firstToken;

    public LiveSequence(Generation generation, SteeringTable table, int layers)
    {
        Generation = generation;
        Sampler = new Sampler(generation.Request.Sampling);
        Steering = new SequenceSteering(generation.Request.Plan, table, PromptLength, layers);
        Prefix = Steering.Prefix(generation.Request.Prompt);
        _tokens = [.. generation.Request.Prompt];
    }

    public Generation Generation { get; }

    public Sampler Sampler { get; }

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

    /// <summary>Takes the chosen token in; true if the sequence ended with it.</summary>
    public bool Take(int token, bool isEndOfSequence)
    {
        if (Generated == 0)
        {
            _firstToken = Generation.SinceArrival;
        }

        _tokens.Add(token);
        var ends = isEndOfSequence && !Generation.Request.IgnoreEndOfSequence;
        if (!ends)
        {
            Generation.Emit(token);
        }

        if (!ends && Generated < Generation.Request.MaxTokens)
        {
            return false;
        }

        Finish(ends);
        return true;
    }

    /// <summary>Tells how it ended.</summary>
    public void Finish(bool reachedEndOfSequence) =>
        Generation.Finish(new GenerationOutcome(reachedEndOfSequence, Generated, Steering.Applied, _queued, _firstToken));
}

using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading.Channels;
using LrtMesh.Core.Steering;

namespace LrtMesh.Core.Models;

/// <summary>A sequence to generate.</summary>
/// <param name="Prompt">Token ids, at least one.</param>
/// <param name="Sampling">How tokens are chosen.</param>
/// <param name="MaxTokens">Tokens to generate at most; with the prompt within the model's longest sequence.</param>
/// <param name="IgnoreEndOfSequence">Whether to go on after an end-of-sequence token.</param>
/// <param name="Plan">What steers it.</param>
public sealed record GenerationRequest(
    IReadOnlyList<int> Prompt, SamplingOptions Sampling, int MaxTokens, bool IgnoreEndOfSequence, SteeringPlan Plan)
{
    /// <summary>Tokens that end it and are not part of it.</summary>
    public IReadOnlySet<int> StopTokens { get; init; } = new HashSet<int>();

    /// <summary>The tokens to take, whatever the model would choose: their log-probabilities are wanted. Empty: the model chooses.</summary>
    public IReadOnlyList<int> Forced { get; init; } = [];

    /// <summary>
    /// Whose prompt it is. What was read of a prompt is used again for the same tenant alone: how soon an answer comes would tell another whether
    /// a prompt was read before.
    /// </summary>
    public string Tenant { get; init; } = "";
}

/// <summary>What was done to a sequence by one steering of its plan.</summary>
/// <param name="Steering">The steering.</param>
/// <param name="Positions">Tokens steered.</param>
/// <param name="MeanRelativeChange">Mean of ‖Δ‖/‖h‖ over them.</param>
public sealed record AppliedSteering(PlannedSteering Steering, int Positions, double MeanRelativeChange);

/// <summary>Why a generation ended.</summary>
public enum GenerationEnd
{
    /// <summary>The token limit was reached.</summary>
    MaxTokens,

    /// <summary>The model's end-of-sequence token came.</summary>
    EndOfSequence,

    /// <summary>A stop token came, or it was told to stop.</summary>
    Stopped,
}

/// <summary>How a generation ended.</summary>
/// <param name="End">Why.</param>
/// <param name="Tokens">Tokens generated, one that ended it included.</param>
/// <param name="Steering">One entry a steering, in the order in which they came.</param>
/// <param name="Queued">From arrival to the first step that computed for it.</param>
/// <param name="FirstToken">From arrival to its first token.</param>
public sealed record GenerationOutcome(GenerationEnd End, int Tokens, IReadOnlyList<AppliedSteering> Steering, TimeSpan Queued, TimeSpan FirstToken)
{
    /// <summary>From arrival to its end.</summary>
    public TimeSpan Took { get; init; }
}

/// <summary>A token as it is chosen.</summary>
/// <param name="Id">The token.</param>
/// <param name="Logprobs">Its log-probabilities, where they were asked for.</param>
public readonly record struct GeneratedToken(int Id, TokenLogprobs? Logprobs);

/// <summary>A generation under way: tokens as they come, and then how it ended.</summary>
public sealed class Generation
{
    private readonly Channel<GeneratedToken> _tokens = Channel.CreateUnbounded<GeneratedToken>(new() { SingleReader = true, SingleWriter = true }); // bounded by MaxTokens
    private readonly TaskCompletionSource<GenerationOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentQueue<(SteeringPlan Plan, TaskCompletionSource<int?> From)> _changes = new();
    private readonly long _arrived = Stopwatch.GetTimestamp();
    private volatile bool _stopping;

    internal Generation(GenerationRequest request, CancellationToken cancellation)
    {
        Request = request;
        Cancellation = cancellation;
    }

    /// <summary>What was asked for.</summary>
    public GenerationRequest Request { get; }

    /// <summary>Tokens as they are chosen; one that ends the text is not among them.</summary>
    public ChannelReader<GeneratedToken> Tokens => _tokens.Reader;

    /// <summary>How it ended; fails with what went wrong.</summary>
    public Task<GenerationOutcome> Outcome => _outcome.Task;

    /// <summary>Ends it before its next step, with the outcome of what it has generated so far: a stop string has come.</summary>
    public void Stop() => _stopping = true;

    /// <summary>Steers by another plan from the next token on that is read after the prompt.</summary>
    /// <returns>The position of that token; null if the text ended before.</returns>
    public Task<int?> ChangeSteeringAsync(SteeringPlan plan)
    {
        var from = new TaskCompletionSource<int?>(TaskCreationOptions.RunContinuationsAsynchronously);
        _changes.Enqueue((plan, from));
        if (_outcome.Task.IsCompleted)
        {
            RefuseChanges();
        }

        return from.Task;
    }

    internal bool IsStopping => _stopping;

    internal CancellationToken Cancellation { get; }

    internal TimeSpan SinceArrival => Stopwatch.GetElapsedTime(_arrived);

    internal void Emit(GeneratedToken token) => _tokens.Writer.TryWrite(token);

    /// <summary>Hands out the changes that have come.</summary>
    /// <param name="take">Takes a plan; gives the position from which on it holds.</param>
    internal void TakeChanges(Func<SteeringPlan, int> take)
    {
        while (_changes.TryDequeue(out var change))
        {
            change.From.TrySetResult(take(change.Plan));
        }
    }

    internal void Finish(GenerationOutcome outcome)
    {
        _tokens.Writer.TryComplete();
        _outcome.TrySetResult(outcome);
        RefuseChanges();
    }

    internal void Fail(Exception error)
    {
        _tokens.Writer.TryComplete();
        _outcome.TrySetException(error);
        RefuseChanges();
    }

    private void RefuseChanges()
    {
        while (_changes.TryDequeue(out var change))
        {
            change.From.TrySetResult(null);
        }
    }
}

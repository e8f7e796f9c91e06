using System.Diagnostics;
using System.Threading.Channels;
using LrtMesh.Core.Steering;

namespace LrtMesh.Core.Models;

/// <summary>A sequence to generate.</summary>
/// <param name="Prompt">Token ids, at least one.</param>
/// <param name="Sampling">How tokens are chosen.</param>
/// <param name="MaxTokens">Tokens to generate at most; with the prompt within the model's context.</param>
/// <param name="IgnoreEndOfSequence">Whether to go on after an end-of-sequence token.</param>
/// <param name="Plan">What steers it.</param>
public sealed record GenerationRequest(
    IReadOnlyList<int> Prompt, SamplingOptions Sampling, int MaxTokens, bool IgnoreEndOfSequence, SteeringPlan Plan);

/// <summary>What was done to a sequence by one steering of its plan.</summary>
/// <param name="Steering">The steering.</param>
/// <param name="Positions">Tokens steered.</param>
/// <param name="MeanRelativeChange">Mean of ‖Δ‖/‖h‖ over them.</param>
public sealed record AppliedSteering(PlannedSteering Steering, int Positions, double MeanRelativeChange);

/// <summary>How a generation ended.</summary>
/// <param name="ReachedEndOfSequence">False: the token limit was reached.</param>
/// <param name="Tokens">Tokens generated, an end-of-sequence token included.</param>
/// <param name="Steering">One entry a steering of the plan.</param>
/// <param name="Queued">From arrival to the first step that computed for it.</param>
/// <param name="FirstToken">From arrival to its first token.</param>
public sealed record GenerationOutcome(
    bool ReachedEndOfSequence, int Tokens, IReadOnlyList<AppliedSteering> Steering, TimeSpan Queued, TimeSpan FirstToken);

/// <summary>A generation under way: token ids as they come, and then how it ended.</summary>
public sealed class Generation
{
    private readonly Channel<int> _tokens = Channel.CreateUnbounded<int>(new() { SingleReader = true, SingleWriter = true }); // bounded by MaxTokens
    private readonly TaskCompletionSource<GenerationOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long _arrived = Stopwatch.GetTimestamp();
    private volatile bool _stopping;

    internal Generation(GenerationRequest request, CancellationToken cancellation)
    {
        Request = request;
        Cancellation = cancellation;
    }

    /// <summary>Token ids as they are chosen; an end-of-sequence token that ends the text is not among them.</summary>
    public ChannelReader<int> Tokens => _tokens.Reader;

    /// <summary>How it ended; fails with what went wrong.</summary>
    public Task<GenerationOutcome> Outcome => _outcome.Task;

    /// <summary>Ends it before its next step, with the outcome of what it has generated so far: a stop string has come.</summary>
    public void Stop() => _stopping = true;

    internal GenerationRequest Request { get; }

    internal bool IsStopping => _stopping;

    internal CancellationToken Cancellation { get; }

    internal TimeSpan SinceArrival => Stopwatch.GetElapsedTime(_arrived);

    internal void Emit(int token) => _tokens.Writer.TryWrite(token);

    internal void Finish(GenerationOutcome outcome)
    {
        _tokens.Writer.TryComplete();
        _outcome.TrySetResult(outcome);
    }

    internal void Fail(Exception error)
    {
        _tokens.Writer.TryComplete();
        _outcome.TrySetException(error);
    }
}

using LrtMesh.Core;
using Microsoft.Extensions.Hosting;

namespace LrtMesh.ServiceDefaults.Limits;

/// <summary>How a role stops.</summary>
public sealed record DrainOptions
{
    /// <summary>Beyond the drain time, for the last answers to reach their clients.</summary>
    private static readonly TimeSpan LastAnswers = TimeSpan.FromSeconds(2);

    /// <summary>How long health says NOT_SERVING before anything else changes, for clients and load balancers to learn of it; default is 0.</summary>
    public TimeSpan Announce { get; init; }

    /// <summary>How long calls may then go on; default is 5 s.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long stopping takes at most.</summary>
    public TimeSpan Longest => Announce + Time + LastAnswers;

    /// <summary>Reads <c>drain-announce-seconds</c> and <c>drain-seconds</c>.</summary>
    public static DrainOptions From(RoleSettings settings)
    {
        var defaults = new DrainOptions();
        return new() { Announce = settings.Seconds("drain-announce-seconds", defaults.Announce), Time = settings.Seconds("drain-seconds", defaults.Time) };
    }
}

/// <summary>
/// Stops a role without failing calls. Health says NOT_SERVING (<see cref="RoleHost"/>); then 1. for the announced time calls come and go as before;
/// 2. no more connections are taken, clients are asked to leave theirs, calls that only wait for news end, and others go on; 3. after the drain time those that still
/// run end too. What ends here says UNAVAILABLE, and when to ask again: another replica, or this one once it is back.
/// </summary>
internal sealed class Drain(RoleOptions options) : IHostedLifecycleService, IDisposable
{
    private readonly CancellationTokenSource _began = new();
    private readonly CancellationTokenSource _over = new();

    /// <summary>Ends when calls are let go no more.</summary>
    public CancellationToken Began => _began.Token;

    /// <summary>Ends when calls may go on no more.</summary>
    public CancellationToken Over => _over.Token;

    /// <summary>What a call is told that comes too late, or takes too long.</summary>
    public static LrtMeshException Stopping() => new(ErrorReason.Unavailable, "this server is shutting down; try again") { RetryAfter = TimeSpan.FromSeconds(1) };

    /// <inheritdoc/>
    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        // 1.
        await Task.Delay(options.Drain.Announce, cancellationToken);

        // 2. and 3.
        await _began.CancelAsync();
        _over.CancelAfter(options.Drain.Time);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _began.Dispose();
        _over.Dispose();
    }

    /// <inheritdoc/>
    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

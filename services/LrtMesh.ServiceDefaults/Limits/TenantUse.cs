using Grpc.Core;
using LrtMesh.Core;

namespace LrtMesh.ServiceDefaults.Limits;

/// <summary>What a tenant has used of what it may, of this replica.</summary>
public sealed class TenantUse
{
    private const string Key = "lrtmesh.use";

    private readonly string _whose;
    private readonly Allowance? _requests;
    private readonly Allowance? _tokens;
    private readonly Allowance? _bytes;

    internal TenantUse(string tenant, LimitOptions limits, TimeProvider time)
    {
        _whose = tenant.Length == 0 ? "the default tenant has" : $"tenant \"{tenant}\" has";
        _requests = Of(limits.TenantRequestsPerSecond, TimeSpan.FromSeconds(1));
        _tokens = Of(limits.TenantTokensPerMinute, TimeSpan.FromMinutes(1));
        _bytes = Of(limits.TenantBytesPerMinute, TimeSpan.FromMinutes(1));

        Allowance? Of(double amount, TimeSpan period) => amount > 0 ? new(amount, period, time) : null;
    }

    /// <summary>Without limits.</summary>
    internal static TenantUse Unlimited { get; } = new("", new LimitOptions(), TimeProvider.System);

    /// <summary>Whether it has used nothing that has not come again: it need not be kept.</summary>
    internal bool IsFull => new[] { _requests, _tokens, _bytes }.All(allowance => allowance is null or { IsFull: true });

    /// <summary>Whether bytes are counted.</summary>
    internal bool CountsBytes => _bytes is not null;

    /// <summary>That of the caller's tenant.</summary>
    public static TenantUse Of(ServerCallContext context) => (TenantUse)context.UserState[Key];

    /// <summary>Counts tokens that were read or generated.</summary>
    public void UseTokens(int tokens) => _tokens?.Use(tokens);

    /// <summary>Counts tokens that a stream goes on to read, once there are some left.</summary>
    public async Task UseTokensInTimeAsync(int tokens, CancellationToken cancellation)
    {
        await InTimeAsync(_tokens, cancellation);
        UseTokens(tokens);
    }

    internal void NoteIn(ServerCallContext context) => context.UserState[Key] = this;

    /// <summary>Takes a call in.</summary>
    /// <exception cref="LrtMeshException">ResourceExhausted: too much was used, with the time after which there is more.</exception>
    internal void Admit()
    {
        Refuse(_tokens?.Wait(), "tokens", "a minute (--tenant-tokens-per-minute)");
        Refuse(_bytes?.Wait(), "bytes", "a minute (--tenant-bytes-per-minute)");
        Refuse(_requests?.TakeOne(), "calls", "a second (--tenant-requests-per-second)");
    }

    /// <summary>Counts bytes of a message.</summary>
    internal void UseBytes(long bytes) => _bytes?.Use(bytes);

    /// <summary>Waits until bytes are left: within a stream whoever takes too much is slowed down, and not cut.</summary>
    internal Task BytesInTimeAsync(CancellationToken cancellation) => InTimeAsync(_bytes, cancellation);

    private static async Task InTimeAsync(Allowance? allowance, CancellationToken cancellation)
    {
        while (allowance?.Wait() is { } wait)
        {
            await Task.Delay(wait, cancellation);
        }
    }

    private void Refuse(TimeSpan? wait, string what, string limit)
    {
        if (wait is not null)
        {
            throw new LrtMeshException(ErrorReason.ResourceExhausted, $"{_whose} used up its {what} {limit}; try again in {wait.Value.TotalSeconds:0.###} s") { RetryAfter = wait };
        }
    }
}

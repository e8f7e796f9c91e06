using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>Notifications of one channel.</summary>
internal sealed class RedisListener(ChannelMessageQueue queue) : IAsyncDisposable
{
    /// <summary>Returns at the next notification, or after a time without one.</summary>
    public async Task WaitAsync(TimeSpan atMost, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(atMost);
        try
        {
            await queue.ReadAsync(limit.Token);
            while (queue.TryRead(out _))
            {
                // Several changes before the next read of the record are one.
            }
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            // Time is up: the caller reads the record in case a notification was lost.
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await queue.UnsubscribeAsync();
        }
        catch (Exception e) when (e is RedisException or RedisTimeoutException or ObjectDisposedException)
        {
            // With the connection gone the subscription is too.
        }
    }
}

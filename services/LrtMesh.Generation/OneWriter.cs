using Grpc.Core;

namespace LrtMesh.Generation;

/// <summary>A stream that several answers write to: gRPC takes one write at a time.</summary>
internal sealed class OneWriter<T>(IServerStreamWriter<T> stream, CancellationToken cancellation) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1);

    /// <summary>Writes when it is its turn.</summary>
    public async Task WriteAsync(T message)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            await stream.WriteAsync(message, cancellation);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _turn.Dispose();
}

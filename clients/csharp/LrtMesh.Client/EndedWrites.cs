using Grpc.Core;
using Grpc.Core.Interceptors;

namespace LrtMesh.Client;

/// <summary>
/// Streams of requests whose writes end as their call did. Where the connection is lost amid a write, gRPC lets .NET's IOException through; that is UNAVAILABLE, as it is on the
/// side that reads (<see cref="EndedReads"/>).
/// </summary>
public sealed class EndedWrites : Interceptor
{
    /// <inheritdoc/>
    public override AsyncClientStreamingCall<TRequest, TResponse> AsyncClientStreamingCall<TRequest, TResponse>(
        ClientInterceptorContext<TRequest, TResponse> context, AsyncClientStreamingCallContinuation<TRequest, TResponse> continuation)
    {
        ArgumentNullException.ThrowIfNull(continuation);
        var call = continuation(context);
        return new(new Writes<TRequest>(call.RequestStream), call.ResponseAsync, call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);
    }

    /// <inheritdoc/>
    public override AsyncDuplexStreamingCall<TRequest, TResponse> AsyncDuplexStreamingCall<TRequest, TResponse>(
        ClientInterceptorContext<TRequest, TResponse> context, AsyncDuplexStreamingCallContinuation<TRequest, TResponse> continuation)
    {
        ArgumentNullException.ThrowIfNull(continuation);
        var call = continuation(context);
        return new(new Writes<TRequest>(call.RequestStream), call.ResponseStream, call.ResponseHeadersAsync, call.GetStatus, call.GetTrailers, call.Dispose);
    }

    private sealed class Writes<T>(IClientStreamWriter<T> stream) : IClientStreamWriter<T>
    {
        public WriteOptions? WriteOptions
        {
            get => stream.WriteOptions;
            set => stream.WriteOptions = value;
        }

        public Task WriteAsync(T message) => WriteAsync(message, CancellationToken.None);

        public async Task WriteAsync(T message, CancellationToken cancellationToken)
        {
            try
            {
                await stream.WriteAsync(message, cancellationToken).ConfigureAwait(false);
            }
            catch (IOException e)
            {
                throw new RpcException(new(StatusCode.Unavailable, $"Error writing a message. {e.GetType().Name}: {e.Message}", e));
            }
        }

        public Task CompleteAsync() => stream.CompleteAsync();
    }
}

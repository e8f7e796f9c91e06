using Grpc.Core;
using Grpc.Core.Interceptors;
using LrtMesh.Core;
using LrtMesh.ServiceDefaults.Limits;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace LrtMesh.ServiceDefaults;

/// <summary>
/// The one place where errors become statuses: google.rpc.Status in the trailers, with ErrorInfo and a typed detail. What was not
/// thrown on purpose becomes INTERNAL with a request id that leads to the log, and says nothing of the inside.
/// </summary>
public sealed class ErrorInterceptor(ILogger<ErrorInterceptor> logger, IHostApplicationLifetime lifetime) : Interceptor
{
    private static readonly TimeSpan ResetShows = TimeSpan.FromSeconds(1);

    /// <inheritdoc/>
    public override async Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        try
        {
            return await continuation(request, context);
        }
        catch (Exception e) when (e is not RpcException)
        {
            throw await TranslateAsync(e, context);
        }
    }

    /// <inheritdoc/>
    public override async Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, ServerStreamingServerMethod<TRequest, TResponse> continuation)
    {
        try
        {
            await continuation(request, responseStream, context);
        }
        catch (Exception e) when (e is not RpcException)
        {
            throw await TranslateAsync(e, context);
        }
    }

    /// <inheritdoc/>
    public override async Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, ServerCallContext context, ClientStreamingServerMethod<TRequest, TResponse> continuation)
    {
        try
        {
            return await continuation(requestStream, context);
        }
        catch (Exception e) when (e is not RpcException)
        {
            throw await TranslateAsync(e, context);
        }
    }

    /// <inheritdoc/>
    public override async Task DuplexStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, DuplexStreamingServerMethod<TRequest, TResponse> continuation)
    {
        try
        {
            await continuation(requestStream, responseStream, context);
        }
        catch (Exception e) when (e is not RpcException)
        {
            throw await TranslateAsync(e, context);
        }
    }

    private async Task<RpcException> TranslateAsync(Exception error, ServerCallContext context)
    {
        if (error is IOException)
        {
            // A stream that the client reset can show in a read a moment before it shows in the call's token; a file that fails never does.
            await Task.Delay(ResetShows, context.CancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        // A call that the client gave up fails in many ways (a reset stream, a cancelled wait); they all mean the same.
        if (context.CancellationToken.IsCancellationRequested)
        {
            return context.Deadline <= DateTime.UtcNow
                ? Plain(StatusCode.DeadlineExceeded, "the deadline passed before the answer was complete")
                : Plain(StatusCode.Cancelled, "the call was cancelled");
        }

        if (error is LrtMeshException known)
        {
            // Not its message: that may quote what the client sent.
            var fields = string.Join(", ", known.Violations.Select(violation => violation.Field));
            RoleLog.Refused(logger, context.Method, known.Reason, fields);
            return ErrorStatus.Of(known).ToRpcException();
        }

        if (error is OperationCanceledException && lifetime.ApplicationStopping.IsCancellationRequested)
        {
            return ErrorStatus.Of(Drain.Stopping()).ToRpcException();
        }

        var id = Guid.NewGuid().ToString("N");
        RoleLog.Failed(logger, error, context.Method, id);
        return Plain(StatusCode.Internal, $"an internal error; the server's log has it under request {id}");
    }

    private static RpcException Plain(StatusCode code, string message) => new(new Grpc.Core.Status(code, message));
}

using Grpc.Core;
using Grpc.Core.Interceptors;
using LrtMesh.Core;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>Lets in the calls that may come in: who calls is found out, and whether that caller may call this.</summary>
internal sealed class GuardInterceptor(TokenCheck tokens) : Interceptor
{
    /// <inheritdoc/>
    public override async Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation)
    {
        await AdmitAsync(context);
        return await continuation(request, context);
    }

    /// <inheritdoc/>
    public override async Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, ServerStreamingServerMethod<TRequest, TResponse> continuation)
    {
        await AdmitAsync(context);
        await continuation(request, responseStream, context);
    }

    /// <inheritdoc/>
    public override async Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, ServerCallContext context, ClientStreamingServerMethod<TRequest, TResponse> continuation)
    {
        await AdmitAsync(context);
        return await continuation(requestStream, context);
    }

    /// <inheritdoc/>
    public override async Task DuplexStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, DuplexStreamingServerMethod<TRequest, TResponse> continuation)
    {
        await AdmitAsync(context);
        await continuation(requestStream, responseStream, context);
    }

    private async Task AdmitAsync(ServerCallContext context)
    {
        var rule = RpcRule.Of(context.Method);
        var caller = rule is { Open: true } ? Caller.Anyone : await tokens.CallerAsync(context.RequestHeaders);
        var missing = rule is null ? [Scope.Admin] : rule.Scopes.Where(scope => !caller.Scopes.Contains(scope)).ToArray();
        if (missing.Length > 0 && !caller.Scopes.Contains(Scope.Admin))
        {
            throw new LrtMeshException(ErrorReason.PermissionDenied, $"{context.Method} takes a token with the scope {string.Join(" and ", missing)}");
        }

        caller.NoteIn(context);
    }
}

using Google.Protobuf;
using Grpc.Core;
using Grpc.Core.Interceptors;
using LrtMesh.Core;
using LrtMesh.ServiceDefaults.Limits;
using Microsoft.AspNetCore.Http.Features;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>Lets calls in that may come in, and keeps them within their limits.</summary>
internal sealed class GuardInterceptor(TenantLimits tenants, Audit audit, Drain drain, RoleOptions options) : Interceptor
{
    private static readonly LimitOptions Endless = new() { CallLife = TimeSpan.Zero, Idle = TimeSpan.Zero };

    /// <inheritdoc/>
    public override Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation) =>
        GuardAsync(context, request, async call => call.Answered(await continuation(request, call)));

    /// <inheritdoc/>
    public override Task ServerStreamingServerHandler<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, ServerStreamingServerMethod<TRequest, TResponse> continuation) =>
        GuardAsync(context, request, call => Done(continuation(request, call.Writes(responseStream), call)));

    /// <inheritdoc/>
    public override Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, ServerCallContext context, ClientStreamingServerMethod<TRequest, TResponse> continuation) =>
        GuardAsync(context, null, async call => call.Answered(await continuation(call.Reads(requestStream), call)));

    /// <inheritdoc/>
    public override Task DuplexStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, IServerStreamWriter<TResponse> responseStream, ServerCallContext context, DuplexStreamingServerMethod<TRequest, TResponse> continuation) =>
        GuardAsync(context, null, call => Done(continuation(call.Reads(requestStream), call.Writes(responseStream), call)));

    private static async Task<bool> Done(Task task)
    {
        await task;
        return true;
    }

    /// <remarks>1. Who calls. 2. Whether that caller may call this, and now. 3. The call, and what became of it.</remarks>
    private async Task<T> GuardAsync<T>(ServerCallContext context, object? request, Func<GuardedCall, Task<T>> run)
    {
        // 1.
        var rule = RpcRule.Of(context.Method) ?? throw new LrtMeshException(ErrorReason.PermissionDenied, $"{context.Method} has no rule that says who may call it");
        var caller = rule.Open ? Caller.Anyone : context.GetHttpContext().Features.GetRequiredFeature<Caller>(); // of TokenGate
        var use = rule.Open ? TenantUse.Unlimited : tenants.Of(caller);
        caller.NoteIn(context);
        use.NoteIn(context);
        using var call = new GuardedCall(context, use, rule.Open ? Endless : options.Limits, rule.Waits ? drain.Began : drain.Over);
        try
        {
            // 2.
            if (drain.Began.IsCancellationRequested && !rule.Open)
            {
                throw Drain.Stopping();
            }

            rule.Check(caller);
            use.Admit();

            // 3.
            if (request is not null)
            {
                call.Received(request);
            }

            var answer = await run(call);
            audit.Note(rule, caller, context, call.First, error: null);
            return answer;
        }
        catch (Exception e)
        {
            var reason = call.Reason(e);
            audit.Note(rule, caller, context, call.First ?? request as IMessage, reason);
            if (reason != e)
            {
                throw reason;
            }

            throw;
        }
    }
}

using System.Diagnostics;
using Google.Protobuf;
using Grpc.Core;
using LrtMesh.Core;
using LrtMesh.ServiceDefaults.Limits;
using Microsoft.AspNetCore.Http;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>
/// A call as its service sees it: its messages are counted, and it ends when it has gone on for too long, when its client keeps it waiting, or when the role
/// stops; the service is told so by its token, and the client by the status.
/// </summary>
internal sealed class GuardedCall : ServerCallContext, IDisposable
{
    private const string HttpContextKey = "__HttpContext"; // where gRPC looks for it in a context that is not its own

    private readonly ServerCallContext _call;
    private readonly HttpContext _http;
    private readonly TenantUse _use;
    private readonly LimitOptions _limits;
    private readonly CancellationToken _stop;
    private readonly CancellationTokenSource _end;
    private long _active = Stopwatch.GetTimestamp();
    private bool _idle;

    /// <summary>Takes a call.</summary>
    /// <param name="call">The call.</param>
    /// <param name="use">What its tenant has used.</param>
    /// <param name="limits">How long it may go on, and wait; none for a call without end.</param>
    /// <param name="stop">Ends when the role lets it go on no more.</param>
    public GuardedCall(ServerCallContext call, TenantUse use, LimitOptions limits, CancellationToken stop)
    {
        (_call, _http, _use, _limits, _stop) = (call, call.GetHttpContext(), use, limits, stop);
        UserState[HttpContextKey] = _http;
        _end = CancellationTokenSource.CreateLinkedTokenSource(call.CancellationToken, stop);
        if (limits.CallLife > TimeSpan.Zero)
        {
            _end.CancelAfter(limits.CallLife);
        }
    }

    /// <summary>The first message of its request; null: none has come.</summary>
    public IMessage? First { get; private set; }

    /// <summary>Takes the message of a request.</summary>
    public void Received(object message)
    {
        First ??= message as IMessage;
        Count(message);
    }

    /// <summary>
    /// Sends the message of an answer. The rest of that is not in our hands: a client that does not take it within the time that it may keep a call waiting loses it.
    /// </summary>
    public T Answered<T>(T message)
        where T : class
    {
        Count(message);
        if (_limits.Idle > TimeSpan.Zero)
        {
            _http.Response.RegisterForDispose(new Timer(http => ((HttpContext)http!).Abort(), _http, _limits.Idle, Timeout.InfiniteTimeSpan));
        }

        return message;
    }

    /// <summary>The messages of a request.</summary>
    public IAsyncStreamReader<T> Reads<T>(IAsyncStreamReader<T> reader)
        where T : class => new Reader<T>(this, reader);

    /// <summary>Where the messages of an answer go.</summary>
    public IServerStreamWriter<T> Writes<T>(IServerStreamWriter<T> writer)
        where T : class => new Writer<T>(this, writer);

    /// <summary>What a call failed with, or why it was ended here.</summary>
    public Exception Reason(Exception error)
    {
        if (!_end.IsCancellationRequested || _call.CancellationToken.IsCancellationRequested || error is LrtMeshException)
        {
            return error;
        }

        return _stop.IsCancellationRequested ? Drain.Stopping()
            : _idle ? new LrtMeshException(ErrorReason.DeadlineExceeded, $"the client has kept this call waiting for {_limits.Idle.TotalSeconds:0.###} s, the longest that it may (--max-idle-seconds)")
            : new LrtMeshException(ErrorReason.DeadlineExceeded, $"the call has gone on for {_limits.CallLife.TotalSeconds:0.###} s, the longest that one may (--max-call-seconds)");
    }

    public void Dispose() => _end.Dispose();

    /// <inheritdoc/>
    protected override string MethodCore => _call.Method;

    /// <inheritdoc/>
    protected override string HostCore => _call.Host;

    /// <inheritdoc/>
    protected override string PeerCore => _call.Peer;

    /// <inheritdoc/>
    protected override DateTime DeadlineCore => _call.Deadline;

    /// <inheritdoc/>
    protected override Metadata RequestHeadersCore => _call.RequestHeaders;

    /// <inheritdoc/>
    protected override CancellationToken CancellationTokenCore => _end.Token;

    /// <inheritdoc/>
    protected override Metadata ResponseTrailersCore => _call.ResponseTrailers;

    /// <inheritdoc/>
    protected override Status StatusCore
    {
        get => _call.Status;
        set => _call.Status = value;
    }

    /// <inheritdoc/>
    protected override WriteOptions? WriteOptionsCore
    {
        get => _call.WriteOptions;
        set => _call.WriteOptions = value;
    }

    /// <inheritdoc/>
    protected override AuthContext AuthContextCore => _call.AuthContext;

    /// <inheritdoc/>
    protected override IDictionary<object, object> UserStateCore => _call.UserState;

    /// <inheritdoc/>
    protected override ContextPropagationToken CreatePropagationTokenCore(ContextPropagationOptions? options) => _call.CreatePropagationToken(options);

    /// <inheritdoc/>
    protected override Task WriteResponseHeadersAsyncCore(Metadata responseHeaders) => _call.WriteResponseHeadersAsync(responseHeaders);

    private void Count(object message)
    {
        if (_use.CountsBytes && message is IMessage counted)
        {
            _use.UseBytes(counted.CalculateSize());
        }
    }

    /// <summary>Waits for the client, as long as it may keep the call waiting. What goes on in the other direction meanwhile counts: then nobody waits in vain.</summary>
    private async Task AwaitClientAsync(Task waiting, CancellationToken cancellation)
    {
        Volatile.Write(ref _active, Stopwatch.GetTimestamp());
        while (!waiting.IsCompleted)
        {
            var left = Timeout.InfiniteTimeSpan;
            if (_limits.Idle > TimeSpan.Zero)
            {
                left = _limits.Idle - Stopwatch.GetElapsedTime(Volatile.Read(ref _active));
                if (left <= TimeSpan.Zero)
                {
                    _idle = true;
                    await _end.CancelAsync(); // which ends the wait
                    left = TimeSpan.Zero;
                }
            }

            try
            {
                await waiting.WaitAsync(left, OrEnd(cancellation));
            }
            catch (TimeoutException) when (!waiting.IsCompleted)
            {
                // Something may have gone on meanwhile.
            }
        }

        await waiting;
        Volatile.Write(ref _active, Stopwatch.GetTimestamp());
    }

    // What a service waits with comes from the call's own token, if it has one.
    private CancellationToken OrEnd(CancellationToken cancellation) => cancellation.CanBeCanceled ? cancellation : _end.Token;

    private sealed class Reader<T>(GuardedCall call, IAsyncStreamReader<T> reader) : IAsyncStreamReader<T>
        where T : class
    {
        public T Current => reader.Current;

        public async Task<bool> MoveNext(CancellationToken cancellationToken)
        {
            await call._use.BytesInTimeAsync(call.OrEnd(cancellationToken));
            var waiting = reader.MoveNext(cancellationToken);
            await call.AwaitClientAsync(waiting, cancellationToken);
            if (await waiting)
            {
                call.Received(reader.Current);
                return true;
            }

            return false;
        }
    }

    private sealed class Writer<T>(GuardedCall call, IServerStreamWriter<T> writer) : IServerStreamWriter<T>
        where T : class
    {
        public WriteOptions? WriteOptions
        {
            get => writer.WriteOptions;
            set => writer.WriteOptions = value;
        }

        public Task WriteAsync(T message) => WriteAsync(message, CancellationToken.None);

        public async Task WriteAsync(T message, CancellationToken cancellationToken)
        {
            await call._use.BytesInTimeAsync(call.OrEnd(cancellationToken));
            call.Count(message);
            var waiting = writer.WriteAsync(message, CancellationToken.None);
            try
            {
                await call.AwaitClientAsync(waiting, cancellationToken);
            }
            catch (OperationCanceledException) when (!waiting.IsCompleted)
            {
                // No status reaches a client that takes nothing: the stream is reset, and what was held for it is free.
                call._http.Abort();
                throw;
            }
        }
    }
}

using System.Net;

namespace LrtMesh.Client;

/// <summary>
/// Makes UNAVAILABLE, which is tried again, of what happens to a call whose connection the server closes: because it stops or wants the connection to be
/// another's (GOAWAY and NO_ERROR), or since another call's message came when that call had ended, and so many had that Kestrel did not remember it (STREAM_CLOSED).
/// Or it closes the connection before its first frame: because it stops, or does not take the client's certificate, which in TLS 1.3 it says late. Or it no longer answers pings, since it
/// hangs or nothing reaches it. .NET makes INTERNAL of all these; or it sends the request of a call that has not begun over another connection by itself, where
/// the message of a call with a retry policy is not sent a second time, and the server finds an empty request.
/// </summary>
/// <param name="connections">What opens connections.</param>
/// <param name="isTriedAgain">Whether a call has a retry policy, by its path.</param>
internal sealed class LeavingServer(SocketsHttpHandler connections, Predicate<string> isTriedAgain) : DelegatingHandler(connections)
{
    // RFC 9113, 7. Neither is the reset of a call that runs.
    private const long NoError = 0, ProtocolError = 1, StreamClosed = 5;

    /// <summary>What gRPC takes for a lost connection, where a connection was lost and .NET says otherwise; null: it was not.</summary>
    internal static IOException? Lost(Exception? error) => error is HttpProtocolException { ErrorCode: NoError or StreamClosed } || IsSilence(error) ? new(error!.Message) : null;

    // That a ping was not answered .NET calls an error of the protocol, and says in words alone which.
    private static bool IsSilence(Exception? error) => error is HttpProtocolException { ErrorCode: ProtocolError } && error.Message.Contains("ping request", StringComparison.Ordinal);

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (request.Content is { } content && isTriedAgain(request.RequestUri!.AbsolutePath))
        {
            request.Content = new SentOnce(content);
        }

        try
        {
            var response = await base.SendAsync(request, cancellationToken).ConfigureAwait(false);
            response.Content = new EndedReads(response);
            return response;
        }
        catch (HttpRequestException e) when (Lost(e.InnerException) is { } lost)
        {
            throw new HttpRequestException(HttpRequestError.ConnectionError, e.Message, lost);
        }
        catch (HttpRequestException e) when (e is { HttpRequestError: HttpRequestError.Unknown, InnerException: null }) // no frame had come
        {
            throw new HttpRequestException(HttpRequestError.ConnectionError, e.Message, new IOException(e.Message));
        }
    }

    private sealed class SentOnce(HttpContent content) : WrappedContent(content)
    {
        private int _sent;

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken) => Interlocked.Exchange(ref _sent, 1) == 0
            ? Content.CopyToAsync(stream, context, cancellationToken)
            : throw new IOException("the connection was left by its server before the call had begun");
    }
}

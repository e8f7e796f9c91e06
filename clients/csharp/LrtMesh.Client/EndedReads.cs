using System.Net;
using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using Grpc.Core;

namespace LrtMesh.Client;

/// <summary>
/// An answer whose reads end as its call did. A call that is given up, by its deadline or its client, is cancelled: where that overtakes a read, .NET throws an
/// IOException, of which gRPC makes UNAVAILABLE, as of a lost connection. Where the server sees the deadline pass first, Grpc.AspNetCore may end the answer amid a
/// message: that is DEADLINE_EXCEEDED, as its trailers say, and not the INTERNAL that gRPC makes of half a message. An answer that ends with no status at all was cut by a
/// server that closes the connection, and is UNAVAILABLE: of lost connections see <see cref="LeavingServer"/>.
/// </summary>
/// <param name="response">The answer, with its content as it comes.</param>
internal sealed class EndedReads(HttpResponseMessage response) : WrappedContent(response.Content)
{
    protected override async Task<Stream> CreateContentReadStreamAsync() => new Reads(await Content.ReadAsStreamAsync().ConfigureAwait(false), response.TrailingHeaders);

    protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) => Content.CopyToAsync(stream, context);

    /// <summary>Read forward, and asynchronously alone.</summary>
    private sealed class Reads(Stream stream, HttpResponseHeaders trailers) : Stream
    {
        private const string DeadlineExceeded = "4";

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))] // no memory for each read
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            int read;
            try
            {
                read = await stream.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
            }
            catch (IOException e) when (cancellationToken.IsCancellationRequested)
            {
                throw new OperationCanceledException(e.Message, e, cancellationToken);
            }
            catch (IOException e) when (LeavingServer.Lost(e) is { } lost)
            {
                throw lost;
            }

            // The end, whether of a message or amid one.
            return read > 0 || buffer.IsEmpty ? read : Trailer("grpc-status") switch
            {
                DeadlineExceeded => throw new RpcException(new(StatusCode.DeadlineExceeded, Uri.UnescapeDataString(Trailer("grpc-message") ?? ""))),
                null => throw new IOException("the answer ended without a status"),
                _ => 0,
            };
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Flush() => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
            {
                stream.Dispose();
            }

            base.Dispose(disposing);
        }

        private string? Trailer(string name) => trailers.NonValidated.TryGetValues(name, out var values) ? values.ToString() : null;
    }
}

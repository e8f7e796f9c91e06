namespace LrtMesh.V1;

/// <summary>
/// A connection that is read in large pieces. HTTP/2's client asks for a frame at a time, 16 KiB at most and in two reads; each would be a call to the system.
/// One reader and one writer at a time, as the client has them.
/// </summary>
internal sealed class ReadAheadStream(Stream connection) : Stream
{
    private readonly byte[] _ahead = new byte[256 << 10];
    private int _start; // of what was received and not yet read
    private int _end;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_start < _end)
        {
            return new(Take(buffer.Span));
        }

        // Of no bytes: to wait until there are some.
        return buffer.Length == 0 || buffer.Length >= _ahead.Length ? connection.ReadAsync(buffer, cancellationToken) : FillAsync(buffer, cancellationToken);
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException(); // HTTP/2 is read and written asynchronously

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => connection.WriteAsync(buffer, cancellationToken);

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => connection.WriteAsync(buffer, offset, count, cancellationToken);

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override Task FlushAsync(CancellationToken cancellationToken) => connection.FlushAsync(cancellationToken);

    public override void Flush() => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            connection.Dispose();
        }

        base.Dispose(disposing);
    }

    private async ValueTask<int> FillAsync(Memory<byte> buffer, CancellationToken cancellation)
    {
        (_start, _end) = (0, await connection.ReadAsync(_ahead, cancellation).ConfigureAwait(false));
        return Take(buffer.Span);
    }

    private int Take(Span<byte> buffer)
    {
        var taken = Math.Min(buffer.Length, _end - _start);
        _ahead.AsSpan(_start, taken).CopyTo(buffer);
        _start += taken;
        return taken;
    }
}

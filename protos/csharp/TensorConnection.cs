namespace LrtMesh.V1;

/// <summary>How a client's connections are set up so that tensors stream fast.</summary>
public static class TensorConnection
{
    // Of one call: what lies received and not yet read. It goes on filling caches and no memory; over 0.5 ms of delay it lets 2 GB/s through.
    private const int WindowBytes = 1 << 20;

    /// <summary>
    /// Sets up connections to be opened. .NET lets the window grow to 16 MiB by itself, where received bytes lie in ever fresh memory; that ends only for the whole process, by the
    /// switch System.Net.SocketsHttpHandler.Http2FlowControl.DisableDynamicWindowSizing.
    /// </summary>
    public static void Prepare(SocketsHttpHandler connections)
    {
        ArgumentNullException.ThrowIfNull(connections);
        connections.InitialHttp2StreamWindowSize = WindowBytes;
        connections.PlaintextStreamFilter = (context, _) => ValueTask.FromResult<Stream>(new ReadAheadStream(context.PlaintextStream));
    }
}

namespace LrtMesh.V1;

/// <summary>What a client's connections are set to, so that tensors stream fast.</summary>
public static class TensorConnection
{
    /// <summary>
    /// Bytes of one call that may lie received and not yet read. They go on filling caches, and over 0.5 ms of delay they let 2 GB/s through. .NET lets the window grow to 16 MiB by
    /// itself, where what is received lies in ever fresh memory; that is turned off for a whole process alone, by the switch
    /// System.Net.SocketsHttpHandler.Http2FlowControl.DisableDynamicWindowSizing.
    /// </summary>
    public const int WindowBytes = 1 << 20;
}

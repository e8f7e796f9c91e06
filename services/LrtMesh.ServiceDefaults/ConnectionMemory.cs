using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;

namespace LrtMesh.ServiceDefaults;

/// <summary>
/// The memory in which connections hold what they send and receive, in blocks of 64 KiB. Kestrel's own are of 4 KiB, and a chunk of a tensor goes through 128 of them. Free blocks are
/// kept here and not in the runtime's pool, which keeps few of a size: with many slow readers it let most go, and the role grew by half before they were collected.
/// </summary>
internal sealed class ConnectionMemory : MemoryPool<byte>, IMemoryPoolFactory<byte>
{
    private const int BlockBytes = 64 << 10;
    private const int MostFree = 512; // blocks: 32 MiB

    private readonly ConcurrentQueue<byte[]> _free = new();

    public override int MaxBufferSize => BlockBytes;

    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => this;

    // Pinned: sockets hand their addresses to the kernel.
    public override IMemoryOwner<byte> Rent(int minBufferSize = -1) =>
        new Block(this, _free.TryDequeue(out var bytes) ? bytes : GC.AllocateUninitializedArray<byte>(BlockBytes, pinned: true));

    protected override void Dispose(bool disposing)
    {
        // Connections of the whole process share it.
    }

    private void Return(byte[] bytes)
    {
        if (_free.Count < MostFree)
        {
            _free.Enqueue(bytes);
        }
    }

    private sealed class Block(ConnectionMemory pool, byte[] bytes) : IMemoryOwner<byte>
    {
        private byte[]? _bytes = bytes;

        public Memory<byte> Memory => _bytes;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _bytes, null) is { } free)
            {
                pool.Return(free);
            }
        }
    }
}

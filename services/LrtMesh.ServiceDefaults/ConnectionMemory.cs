using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace LrtMesh.ServiceDefaults;

/// <summary>
/// The memory in which connections hold what they send and receive, in blocks of 64 KiB. Kestrel's own are of 4 KiB, and a chunk of a tensor goes through 256 of them.
/// </summary>
internal sealed class ConnectionMemory : MemoryPool<byte>, IMemoryPoolFactory<byte>
{
    private const int BlockBytes = 64 << 10;

    public override int MaxBufferSize => BlockBytes;

    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => this;

    public override IMemoryOwner<byte> Rent(int minBufferSize = -1) => new Block(ArrayPool<byte>.Shared.Rent(BlockBytes));

    protected override void Dispose(bool disposing)
    {
        // What it has is the process's.
    }

    private sealed class Block(byte[] bytes) : IMemoryOwner<byte>
    {
        private byte[]? _bytes = bytes;

        public Memory<byte> Memory => _bytes;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _bytes, null) is { } free)
            {
                ArrayPool<byte>.Shared.Return(free);
            }
        }
    }
}

using LrtMesh.Core;

namespace LrtMesh.Mapping;

/// <summary>Memory that calls of this role take together for what their clients send: moments of rows that are pushed, tensors that are imported.</summary>
/// <param name="bytes">Bytes of it.</param>
internal sealed class CallMemory(long bytes)
{
    private static readonly TimeSpan TryAgain = TimeSpan.FromSeconds(10);

    private readonly Lock _lock = new();
    private long _taken;

    /// <summary>A call's share, empty as yet; its disposal gives it back.</summary>
    public Share Begin() => new(this);

    private void Take(long needed, string what, string field)
    {
        lock (_lock)
        {
            if (needed > bytes)
            {
                throw new LrtMeshException(ErrorReason.ResourceExhausted, [new Violation(field, $"{what} take {needed >> 20} MiB, and a call may take {bytes >> 20} MiB")]);
            }

            if (needed > bytes - _taken)
            {
                throw new LrtMeshException(
                    ErrorReason.ResourceExhausted, $"{what} take {needed >> 20} MiB, and other calls have {_taken >> 20} of {bytes >> 20} MiB; try again when one has ended")
                {
                    RetryAfter = TryAgain,
                };
            }

            _taken += needed;
        }
    }

    private void GiveBack(long taken)
    {
        lock (_lock)
        {
            _taken -= taken;
        }
    }

    /// <summary>What one call has taken.</summary>
    internal sealed class Share(CallMemory memory) : IDisposable
    {
        private long _taken;

        /// <summary>Takes memory before it is used.</summary>
        /// <param name="needed">Bytes.</param>
        /// <param name="what">What takes it, for errors; in the plural.</param>
        /// <param name="field">Proto path of the field that asks for it.</param>
        /// <exception cref="LrtMeshException">ResourceExhausted: there is not so much, or other calls have it.</exception>
        public void Take(long needed, string what, string field)
        {
            memory.Take(needed, what, field);
            _taken += needed;
        }

        /// <inheritdoc/>
        public void Dispose()
        {
            memory.GiveBack(_taken);
            _taken = 0;
        }
    }
}

using System.Runtime.InteropServices;

namespace LrtMesh.Core.Store;

/// <summary>The float32 arrays of a record as one run of little-endian bytes, which the store cuts into pieces.</summary>
internal sealed class Payload(IReadOnlyList<float[]> arrays)
{
    /// <summary>Bytes in one piece at most.</summary>
    public const int PieceBytes = 4 << 20;

    /// <summary>Bytes of a record at most: a map between two widths of 16,384.</summary>
    public const long MaxBytes = (1L << 30) + (1L << 20);

    /// <summary>Bytes in all.</summary>
    public long Length { get; } = arrays.Sum(array => (long)array.Length * sizeof(float));

    /// <summary>Pieces that a payload is cut into.</summary>
    /// <param name="length">Bytes in all.</param>
    public static int PiecesOf(long length) => (int)((length + PieceBytes - 1) / PieceBytes);

    /// <summary>Bytes of a piece.</summary>
    /// <param name="length">Bytes in all.</param>
    /// <param name="piece">Piece, from 0.</param>
    public static int LengthOf(long length, int piece) => (int)Math.Min(PieceBytes, length - (long)piece * PieceBytes);

    /// <summary>A copy of one piece.</summary>
    public byte[] ReadPiece(int piece)
    {
        var bytes = new byte[LengthOf(Length, piece)];
        var done = 0;
        foreach (var run in Runs(piece, bytes.Length))
        {
            var source = MemoryMarshal.AsBytes(run.Array.AsSpan()).Slice(run.Start, run.Count);
            source.CopyTo(bytes.AsSpan(done));
            done += run.Count;
        }

        return bytes;
    }

    /// <summary>Fills one piece.</summary>
    /// <param name="piece">Piece, from 0.</param>
    /// <param name="bytes">Exactly as many as the piece has.</param>
    public void WritePiece(int piece, ReadOnlySpan<byte> bytes)
    {
        var done = 0;
        foreach (var run in Runs(piece, bytes.Length))
        {
            bytes.Slice(done, run.Count).CopyTo(MemoryMarshal.AsBytes(run.Array.AsSpan())[run.Start..]);
            done += run.Count;
        }
    }

    /// <summary>SHA-256 over all the bytes.</summary>
    public string Digest()
    {
        using var digest = new ContentDigest();
        foreach (var array in arrays)
        {
            digest.AddBytes(MemoryMarshal.AsBytes(array.AsSpan()));
        }

        return digest.Finish();
    }

    /// <summary>Where a piece lies: runs of bytes of the arrays. An array holds fewer than 2^31 bytes, since a record does.</summary>
    private IEnumerable<(float[] Array, int Start, int Count)> Runs(int piece, int length)
    {
        var begin = (long)piece * PieceBytes;
        var end = begin + length;
        var at = 0L;
        foreach (var array in arrays)
        {
            var bytes = array.Length * sizeof(float);
            var from = Math.Max(begin, at);
            var to = Math.Min(end, at + bytes);
            if (from < to)
            {
                yield return (array, (int)(from - at), (int)(to - from));
            }

            at += bytes;
        }
    }
}

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace LrtMesh.Core;

/// <summary>A SHA-256 over named parts, written "sha256:" and 64 hexadecimal digits: what a record is, whatever its name.</summary>
public sealed class ContentDigest : IDisposable
{
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    /// <summary>Adds a text, preceded by its length so that neighbouring parts cannot run together.</summary>
    public ContentDigest Add(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        Add(bytes.Length);
        _hash.AppendData(bytes);
        return this;
    }

    /// <summary>Adds a number.</summary>
    public ContentDigest Add(long number)
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        _hash.AppendData(bytes);
        return this;
    }

    /// <summary>Adds float32 elements as little-endian bytes, preceded by their count.</summary>
    public ContentDigest Add(ReadOnlySpan<float> elements)
    {
        Add(elements.Length);
        _hash.AppendData(MemoryMarshal.AsBytes(elements));
        return this;
    }

    /// <summary>Adds bytes as they are.</summary>
    public ContentDigest AddBytes(ReadOnlySpan<byte> bytes)
    {
        _hash.AppendData(bytes);
        return this;
    }

    /// <summary>The digest of what was added.</summary>
    public string Finish() => "sha256:" + Convert.ToHexStringLower(_hash.GetHashAndReset());

    /// <summary>The first 128 bits of it, for what is compared in memory.</summary>
    public UInt128 Finish128() => BinaryPrimitives.ReadUInt128LittleEndian(_hash.GetHashAndReset());

    /// <inheritdoc/>
    public void Dispose() => _hash.Dispose();
}

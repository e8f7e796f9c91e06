using System.Buffers;
using System.Buffers.Binary;
using LrtMesh.Core.Tensors;
using Microsoft.Win32.SafeHandles;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// A safetensors file: an 8-byte little-endian header length, a JSON header with dtype, shape and byte range of each tensor,
/// and the tensors' bytes. The header is checked whole before any tensor is read. Not safe for concurrent reads.
/// </summary>
/// <remarks>
/// A tensor is read from its place in the file straight into its own memory. A mapping would need the same copy, since torch
/// takes no foreign memory here; its pages would count as this process's until they are dropped; and a file cut off while it is
/// mapped ends the process, where a read ends in an error.
/// </remarks>
public sealed class SafetensorsFile : IDisposable
{
    private const int LengthBytes = 8;
    private const long MaxHeaderBytes = 100 << 20; // the format's own limit
    private const int PieceBytes = 4 << 20; // read or converted at once
    private const int RowsBytes = 256 << 10; // read as rows at once

    private readonly SafeFileHandle _file;
    private readonly long _dataStart;
    private readonly Dictionary<string, StoredTensor> _tensors;

    // For tensors to be converted. One for all of them: buffers that come and go between weights that stay leave holes in the heap,
    // which made a load take twice the weights' memory.
    private Tensor? _buffer;

    private SafetensorsFile(string path, SafeFileHandle file)
    {
        Path = path;
        _file = file;
        var length = RandomAccess.GetLength(file);
        Span<byte> start = stackalloc byte[LengthBytes];
        if (length < LengthBytes || RandomAccess.Read(file, start, 0) < LengthBytes)
        {
            throw Damaged($"has {length} bytes, too few for the length of a header");
        }

        var headerLength = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (headerLength < 2 || headerLength > (ulong)Math.Min(MaxHeaderBytes, length - LengthBytes))
        {
            throw Damaged($"the header's length {headerLength} does not fit the file of {length} bytes (at most {MaxHeaderBytes} are allowed)");
        }

        _dataStart = LengthBytes + (long)headerLength;
        var header = new byte[headerLength];
        ReadBytes(header, LengthBytes, "the header");
        try
        {
            _tensors = SafetensorsHeader.Parse(header, length - _dataStart);
        }
        catch (FormatException e)
        {
            throw Damaged(e.Message);
        }
    }

    /// <summary>Where it lies.</summary>
    public string Path { get; }

    /// <summary>What is in it, by name.</summary>
    public IReadOnlyDictionary<string, StoredTensor> Tensors => _tensors;

    /// <summary>Opens a file and checks its header.</summary>
    /// <exception cref="LrtMeshException">Unreadable or damaged; names file and tensor.</exception>
    public static SafetensorsFile Open(string path)
    {
        try
        {
            var file = File.OpenHandle(path, options: FileOptions.SequentialScan);
            try
            {
                return new SafetensorsFile(path, file);
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Checks that a tensor can be read as what is asked for.</summary>
    /// <inheritdoc cref="Read"/>
    public void Check(string name, IReadOnlyList<long> shape, ScalarType dtype)
    {
        var stored = Find(name);
        if (!stored.Shape.SequenceEqual(shape))
        {
            throw Damaged($"tensor '{name}' has shape [{string.Join(", ", stored.Shape)}], and [{string.Join(", ", shape)}] is asked for");
        }

        var wanted = SafetensorsType.Of(dtype);
        if (stored.Type != wanted && !(stored.Type.IsFloating && wanted.IsFloating))
        {
            throw Damaged($"tensor '{name}' has dtype {stored.Type.Name}, and {wanted.Name} is asked for");
        }
    }

    /// <summary>Copies a tensor out of the file.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="shape">The shape that it must have.</param>
    /// <param name="dtype">The type to convert to; floating types are converted, others must be what is stored.</param>
    /// <exception cref="LrtMeshException">Not there, or of another shape or kind; nothing has been allocated for it then.</exception>
    public Tensor Read(string name, IReadOnlyList<long> shape, ScalarType dtype)
    {
        Check(name, shape, dtype);
        var result = empty([.. shape], dtype);
        try
        {
            ReadInto(name, result);
            return result;
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    /// <summary>Reads a tensor into memory that is there.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="target">Contiguous, on the CPU, and of the shape that the tensor must have; its type is the one to convert to.</param>
    /// <exception cref="LrtMeshException">Not there, or of another shape or kind.</exception>
    public void ReadInto(string name, Tensor target)
    {
        Check(name, target.shape, target.dtype);
        var stored = _tensors[name];
        using var scope = NewDisposeScope();
        var flat = target.view(-1); // [elements]
        var width = stored.Type.Bits / 8;
        var elements = PieceBytes / width;
        var buffer = stored.Type.Torch == target.dtype ? null : Buffer(stored.Type.Torch!.Value, elements);
        for (var at = 0L; at < flat.numel(); at += elements)
        {
            using var step = NewDisposeScope();
            var part = flat.narrow(0, at, Math.Min(elements, flat.numel() - at));
            var piece = buffer?.narrow(0, 0, part.numel()) ?? part;
            ReadBytes(piece.bytes, _dataStart + stored.Begin + (at * width), $"tensor '{name}'");
            if (buffer is not null)
            {
                part.copy_(piece);
            }
        }
    }

    /// <inheritdoc cref="TensorSource.ReadRows"/>
    public void ReadRows(string name, IReadOnlyList<long> shape, TakeRows take)
    {
        Check(name, shape, ScalarType.Float32);
        var stored = _tensors[name];
        var (rows, columns, width) = (checked((int)shape[0]), checked((int)shape[1]), stored.Type.Bits / 8);
        var some = Math.Min(rows, Math.Max(1, RowsBytes / Math.Max(1, columns * width))); // read at once
        var bytes = ArrayPool<byte>.Shared.Rent(checked(some * columns * width));
        var floats = ArrayPool<float>.Shared.Rent(some * columns);
        for (var first = 0; first < rows; first += some)
        {
            var elements = floats.AsSpan(0, Math.Min(some, rows - first) * columns);
            var part = bytes.AsSpan(0, elements.Length * width);
            ReadBytes(part, _dataStart + stored.Begin + ((long)first * columns * width), $"tensor '{name}'");
            ElementConversion.ToFloats(part, stored.Type.Contract, elements);
            take(first, elements);
        }

        ArrayPool<byte>.Shared.Return(bytes);
        ArrayPool<float>.Shared.Return(floats);
    }

    /// <summary>Adds a tensor's bytes, as they are stored, to a digest.</summary>
    public void AddTo(ContentDigest digest, string name)
    {
        var stored = Find(name);
        var buffer = new byte[Math.Min(1 << 20, stored.Length)];
        for (var at = 0L; at < stored.Length; at += buffer.Length)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, stored.Length - at));
            ReadBytes(part, _dataStart + stored.Begin + at, $"tensor '{name}'");
            digest.AddBytes(part);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _buffer?.Dispose();
        _file.Dispose();
    }

    private Tensor Buffer(ScalarType type, int elements)
    {
        if (_buffer?.dtype != type || _buffer.numel() < elements)
        {
            _buffer?.Dispose();
            _buffer = empty(elements, type).DetachFromDisposeScope();
        }

        return _buffer;
    }

    private StoredTensor Find(string name) => _tensors.TryGetValue(name, out var stored) ? stored : throw Damaged($"has no tensor '{name}'");

    private void ReadBytes(Span<byte> target, long at, string what)
    {
        while (target.Length > 0)
        {
            int read;
            try
            {
                read = RandomAccess.Read(_file, target, at);
            }
            catch (IOException e)
            {
                throw new LrtMeshException(ErrorReason.DataLoss, $"{Path}: {what} cannot be read: {e.Message}", e);
            }

            if (read == 0)
            {
                throw Damaged($"was cut off while {what} was read");
            }

            target = target[read..];
            at += read;
        }
    }

    private LrtMeshException Damaged(string what) => new(ErrorReason.DataLoss, $"{Path}: {what}");
}

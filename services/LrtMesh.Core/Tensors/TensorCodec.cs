using Google.Protobuf;

namespace LrtMesh.Core.Tensors;

/// <summary>Tensors of the contract (lrtmesh.v1.Tensor and TensorHeader) as float32 arrays, every size checked before memory is taken.</summary>
public static class TensorCodec
{
    /// <summary>Most bytes of data in a tensor that travels in one message.</summary>
    public const int MaximumInlineBytes = 2 * 1024 * 1024;

    /// <summary>Most dimensions of a tensor.</summary>
    public const int MaximumDimensions = 8;

    /// <summary>Most elements of any tensor, so that its bytes in the widest dtype are still one array.</summary>
    public static readonly int MaximumElements = Array.MaxLength / sizeof(double);

    /// <summary>A whole tensor in one message, as float32.</summary>
    /// <param name="values">Row-major elements, as many as the shape says.</param>
    /// <param name="shape">Length of each dimension, outermost first.</param>
    /// <exception cref="LrtMeshException">OutOfRange: more than <see cref="MaximumInlineBytes"/>.</exception>
    public static V1.Tensor Encode(ReadOnlySpan<float> values, params ReadOnlySpan<int> shape)
    {
        var header = Header(V1.Dtype.Float32, shape);
        if (header.ByteLength != (ulong)values.Length * sizeof(float))
        {
            throw new ArgumentException($"{values.Length} elements do not fill the shape [{string.Join(", ", shape.ToArray())}]");
        }

        if (header.ByteLength > MaximumInlineBytes)
        {
            throw new LrtMeshException(
                ErrorReason.OutOfRange,
                $"a tensor in one message holds at most {MaximumInlineBytes} bytes and this one would take {header.ByteLength}: use fewer rows");
        }

        var bytes = Encode(values, V1.Dtype.Float32);
        return new V1.Tensor { Header = header, Crc32C = V1.Crc32C.Compute(bytes), Data = UnsafeByteOperations.UnsafeWrap(bytes) };
    }

    /// <summary>The row-major little-endian bytes of some values, rounded to a dtype.</summary>
    /// <exception cref="LrtMeshException">The dtype is unspecified or unknown.</exception>
    public static byte[] Encode(ReadOnlySpan<float> values, V1.Dtype dtype) => ElementConversion.FromFloats(values, dtype);

    /// <summary>The header of a tensor of this dtype and shape.</summary>
    public static V1.TensorHeader Header(V1.Dtype dtype, params ReadOnlySpan<int> shape)
    {
        var header = new V1.TensorHeader { Dtype = dtype };
        var elements = 1UL;
        foreach (var dimension in shape)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(dimension, nameof(shape));
            header.Shape.Add((ulong)dimension);
            elements = checked(elements * (ulong)dimension);
        }

        header.ByteLength = checked(elements * (ulong)ElementConversion.SizeOf(dtype, "dtype"));
        return header;
    }

    /// <summary>The elements of a tensor that came in one message.</summary>
    /// <param name="tensor">The tensor, or null where the field was not set.</param>
    /// <param name="field">Proto path of the tensor, for errors.</param>
    /// <param name="maximumElements">Most elements to take memory for.</param>
    /// <returns>Row-major float32.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument, naming the field below <paramref name="field"/> that is wrong.</exception>
    public static float[] Decode(V1.Tensor? tensor, string field, long maximumElements)
    {
        if (tensor is null)
        {
            throw LrtMeshException.Invalid(field, "must be set");
        }

        var elements = CheckHeader(tensor.Header, $"{field}.header", maximumElements);
        if ((ulong)tensor.Data.Length != tensor.Header.ByteLength)
        {
            throw LrtMeshException.Invalid(
                $"{field}.data", $"must hold header.byte_length = {tensor.Header.ByteLength} bytes, not {tensor.Data.Length}");
        }

        CheckCrc(tensor.Data.Span, tensor.Crc32C, $"{field}.crc32c");
        var values = new float[elements];
        ElementConversion.ToFloats(tensor.Data.Span, tensor.Header.Dtype, values);
        return values;
    }

    /// <summary>Like <see cref="Decode"/>, for a tensor whose shape must be [rows, width].</summary>
    /// <returns>Row-major float32; the number of rows is its length divided by <paramref name="width"/>.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument, naming the field below <paramref name="field"/> that is wrong.</exception>
    public static float[] DecodeRows(V1.Tensor? tensor, int width, string field, long maximumElements)
    {
        if (tensor?.Header is { } header)
        {
            CheckRows(header, width, $"{field}.header");
        }

        return Decode(tensor, field, maximumElements);
    }

    /// <summary>Refuses a header whose shape is not [rows, width].</summary>
    /// <exception cref="LrtMeshException">InvalidArgument.</exception>
    public static void CheckRows(V1.TensorHeader header, int width, string field)
    {
        if (header.Shape.Count != 2 || header.Shape[1] != (ulong)width)
        {
            throw LrtMeshException.Invalid($"{field}.shape", $"must be [rows, {width}], not {Describe(header)}");
        }
    }

    /// <summary>Checks a header by itself, before memory is taken for what it announces.</summary>
    /// <param name="header">The header, or null where the field was not set.</param>
    /// <param name="field">Proto path of the header, for errors.</param>
    /// <param name="maximumElements">Most elements to allow.</param>
    /// <returns>The number of elements.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument, naming the field below <paramref name="field"/> that is wrong.</exception>
    public static int CheckHeader(V1.TensorHeader? header, string field, long maximumElements)
    {
        if (header is null)
        {
            throw LrtMeshException.Invalid(field, "must be set");
        }

        var size = (ulong)ElementConversion.SizeOf(header.Dtype, $"{field}.dtype");
        if (header.Shape.Count > MaximumDimensions)
        {
            throw LrtMeshException.Invalid($"{field}.shape", $"must have at most {MaximumDimensions} dimensions, not {header.Shape.Count}");
        }

        // A zero anywhere makes the tensor empty, however long the other dimensions; otherwise the product only grows,
        // so that the first factor to pass the limit ends it before it can overflow.
        var limit = (ulong)Math.Clamp(maximumElements, 0, MaximumElements);
        var elements = header.Shape.Contains(0) ? 0UL : 1UL;
        foreach (var dimension in header.Shape)
        {
            if (elements > 0 && dimension > limit / elements)
            {
                throw LrtMeshException.Invalid(
                    $"{field}.shape", $"{Describe(header)} has more elements than the {limit} that are accepted here");
            }

            elements *= dimension;
        }

        if (elements > limit)
        {
            throw LrtMeshException.Invalid($"{field}.shape", $"{Describe(header)} has more elements than the {limit} that are accepted here");
        }

        if (header.ByteLength != elements * size)
        {
            throw LrtMeshException.Invalid(
                $"{field}.byte_length",
                $"must be {elements * size}, the product of shape {Describe(header)} times {size} bytes, not {header.ByteLength}");
        }

        return (int)elements;
    }

    /// <summary>Refuses bytes that are not those the checksum was taken of.</summary>
    internal static void CheckCrc(ReadOnlySpan<byte> data, uint expected, string field)
    {
        var actual = V1.Crc32C.Compute(data);
        if (actual != expected)
        {
            throw LrtMeshException.Invalid(
                field, $"must be the CRC-32C of data, 0x{actual:X8}, not 0x{expected:X8}: the bytes were damaged on the way");
        }
    }

    private static string Describe(V1.TensorHeader header) => $"[{string.Join(", ", header.Shape)}]";
}

using System.Buffers.Binary;
using System.Text.Json;

namespace LrtMesh.Cli.Interchange;

/// <summary>A small safetensors file as a whole; float32, float16 and bfloat16 tensors, widened to float32.</summary>
internal sealed record SafetensorsFile(IReadOnlyDictionary<string, string> Metadata, IReadOnlyList<(string Name, long[] Shape, float[] Elements)> Tensors)
{
    private const long LongestFile = 1L << 30;
    private const string MetadataKey = "__metadata__";

    /// <summary>Reads a file.</summary>
    /// <exception cref="InvalidDataException">Not such a file, damaged, larger than 1 GiB, or with tensors of another type.</exception>
    public static SafetensorsFile Read(string path)
    {
        using var stream = File.OpenRead(path);
        if (stream.Length is < sizeof(ulong) or > LongestFile)
        {
            throw new InvalidDataException($"its length is {stream.Length} bytes");
        }

        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        if (headerLength > (ulong)(bytes.Length - sizeof(ulong)))
        {
            throw new InvalidDataException("its header does not fit");
        }

        using var header = JsonDocument.Parse(bytes.AsMemory(sizeof(ulong), (int)headerLength));
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        var tensors = new List<(string, long[], float[])>();
        var data = bytes.AsMemory(sizeof(ulong) + (int)headerLength);
        foreach (var entry in header.RootElement.EnumerateObject())
        {
            if (entry.Name == MetadataKey)
            {
                foreach (var text in entry.Value.EnumerateObject())
                {
                    metadata[text.Name] = text.Value.GetString() ?? "";
                }

                continue;
            }

            long[] shape = [.. entry.Value.GetProperty("shape").EnumerateArray().Select(length => length.GetInt64())];
            tensors.Add((entry.Name, shape, Elements(entry.Name, entry.Value, shape, data.Span)));
        }

        return new SafetensorsFile(metadata, tensors);
    }

    private static float[] Elements(string name, JsonElement entry, long[] shape, ReadOnlySpan<byte> data)
    {
        string dtype = entry.GetProperty("dtype").GetString() ?? "";
        int size = dtype switch
        {
            "F32" => 4,
            "F16" or "BF16" => 2,
            _ => throw new InvalidDataException($"{name} is of {dtype}; F32, F16 and BF16 are read"),
        };
        long begin = entry.GetProperty("data_offsets")[0].GetInt64(), end = entry.GetProperty("data_offsets")[1].GetInt64();
        if (begin < 0 || end < begin || end > data.Length || BytesOf(shape, size, data.Length) != end - begin)
        {
            throw new InvalidDataException($"{name} does not lie within the file, or not by its shape");
        }

        var bytes = data[(int)begin..(int)end];
        var elements = new float[bytes.Length / size];
        for (int i = 0; i < elements.Length; i++)
        {
            var element = bytes[(i * size)..];
            elements[i] = dtype switch
            {
                "F32" => BinaryPrimitives.ReadSingleLittleEndian(element),
                "F16" => (float)BinaryPrimitives.ReadHalfLittleEndian(element),
                _ => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(element) << 16),
            };
        }

        return elements;
    }

    // -1 where it is negative, or more than there is.
    private static long BytesOf(long[] shape, int size, int most)
    {
        Int128 bytes = size;
        foreach (long length in shape)
        {
            bytes *= length;
            if (length < 0 || bytes > most)
            {
                return -1;
            }
        }

        return (long)bytes;
    }
}

using System.Buffers.Binary;
using System.Text;

namespace LrtMesh.Cli.Interchange;

/// <summary>Reads a GGUF file from memory; every length is checked against what is there before it is used.</summary>
internal sealed class GgufReader(byte[] bytes)
{
    private const int MostDimensions = 4;
    private int _position;

    /// <exception cref="InvalidDataException">Not such a file, or damaged.</exception>
    public GgufFile Read()
    {
        if (!Take(GgufFile.Magic.Length).SequenceEqual(GgufFile.Magic))
        {
            throw new InvalidDataException("it does not begin with GGUF");
        }

        uint version = UInt32();
        if (version is not (2 or 3))
        {
            throw new InvalidDataException($"GGUF version {version}; 2 and 3 are read");
        }

        ulong tensorCount = UInt64();
        ulong valueCount = UInt64();
        var texts = new Dictionary<string, string>(StringComparer.Ordinal);
        var numbers = new Dictionary<string, long>(StringComparer.Ordinal);
        for (ulong i = 0; i < valueCount; i++)
        {
            string key = Text();
            Value(key, (GgufType)UInt32(), texts, numbers);
        }

        var infos = new List<(string Name, ulong[] Shape, GgmlType Type, ulong Offset)>();
        for (ulong i = 0; i < tensorCount; i++)
        {
            string name = Text();
            uint dimensions = UInt32();
            if (dimensions > MostDimensions)
            {
                throw new InvalidDataException($"{name} has {dimensions} dimensions");
            }

            var shape = new ulong[dimensions];
            for (int d = 0; d < shape.Length; d++)
            {
                shape[d] = UInt64();
            }

            infos.Add((name, shape, (GgmlType)UInt32(), UInt64()));
        }

        long alignment = numbers.GetValueOrDefault("general.alignment", 32);
        if (alignment is < 1 or > 1 << 20)
        {
            throw new InvalidDataException($"general.alignment is {alignment}");
        }

        long start = GgufFile.Aligned(_position, alignment);
        return new GgufFile(texts, numbers, [.. infos.Select(info => new GgufTensor(info.Name, info.Shape, Elements(info.Name, info.Shape, info.Type, start, info.Offset)))]);
    }

    private float[] Elements(string name, ulong[] shape, GgmlType type, long start, ulong offset)
    {
        int size = type switch
        {
            GgmlType.F32 => 4,
            GgmlType.F16 or GgmlType.BF16 => 2,
            _ => throw new InvalidDataException($"{name} is of ggml's type {(uint)type}; F32, F16 and BF16 are read"),
        };
        var room = (UInt128)Math.Max(0, bytes.Length - start);
        UInt128 length = (UInt128)size;
        foreach (ulong dimension in shape)
        {
            length *= dimension;
            if (length > room)
            {
                break;
            }
        }

        if (length + offset > room)
        {
            throw new InvalidDataException($"{name} does not lie within the file");
        }

        var data = bytes.AsSpan((int)(start + (long)offset), (int)length);
        var elements = new float[data.Length / size];
        for (int i = 0; i < elements.Length; i++)
        {
            var element = data[(i * size)..];
            elements[i] = type switch
            {
                GgmlType.F32 => BinaryPrimitives.ReadSingleLittleEndian(element),
                GgmlType.F16 => (float)BinaryPrimitives.ReadHalfLittleEndian(element),
                _ => BitConverter.UInt32BitsToSingle((uint)BinaryPrimitives.ReadUInt16LittleEndian(element) << 16),
            };
        }

        return elements;
    }

    private void Value(string key, GgufType type, Dictionary<string, string> texts, Dictionary<string, long> numbers)
    {
        switch (type)
        {
            case GgufType.Text:
                texts[key] = Text();
                break;
            case GgufType.Array:
                SkipArray(key);
                break;
            case GgufType.Int32:
                numbers[key] = (int)UInt32();
                break;
            case GgufType.UInt32:
                numbers[key] = UInt32();
                break;
            case GgufType.Int64 or GgufType.UInt64:
                numbers[key] = (long)UInt64();
                break;
            default:
                Take(SizeOf(key, type));
                break;
        }
    }

    private void SkipArray(string key)
    {
        var type = (GgufType)UInt32();
        ulong count = UInt64();
        if (type == GgufType.Text)
        {
            for (ulong i = 0; i < count; i++)
            {
                Text();
            }
        }
        else
        {
            ulong size = (ulong)SizeOf(key, type);
            Take(count <= (ulong)bytes.Length / size ? (int)(count * size) : int.MaxValue);
        }
    }

    private static int SizeOf(string key, GgufType type) => type switch
    {
        GgufType.UInt8 or GgufType.Int8 or GgufType.Bool => 1,
        GgufType.UInt16 or GgufType.Int16 => 2,
        GgufType.UInt32 or GgufType.Int32 or GgufType.Float32 => 4,
        GgufType.UInt64 or GgufType.Int64 or GgufType.Float64 => 8,
        _ => throw new InvalidDataException($"{key} is of the unknown type {(uint)type}"),
    };

    private string Text()
    {
        ulong length = UInt64();
        return Encoding.UTF8.GetString(Take(length <= (ulong)bytes.Length ? (int)length : int.MaxValue));
    }

    private uint UInt32() => BinaryPrimitives.ReadUInt32LittleEndian(Take(sizeof(uint)));

    private ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));

    private ReadOnlySpan<byte> Take(int length)
    {
        if (length > bytes.Length - _position)
        {
            throw new InvalidDataException("it ends too early");
        }

        _position += length;
        return bytes.AsSpan(_position - length, length);
    }
}

using System.Buffers.Binary;
using System.Text;

namespace LrtMesh.Cli.Interchange;

/// <summary>A tensor of a GGUF file.</summary>
/// <param name="Name">Its name, at most 64 bytes.</param>
/// <param name="Shape">Length of each dimension, innermost first, as the format has it.</param>
/// <param name="Elements">Its elements, widened to float32.</param>
internal sealed record GgufTensor(string Name, IReadOnlyList<ulong> Shape, float[] Elements);

/// <summary>
/// A small GGUF file as a whole: version 2 and 3, little-endian, tensors of F32, F16 and BF16 (ggml/docs/gguf.md in llama.cpp). Of the
/// metadata texts and whole numbers are kept.
/// </summary>
internal sealed record GgufFile(IReadOnlyDictionary<string, string> Texts, IReadOnlyDictionary<string, long> Numbers, IReadOnlyList<GgufTensor> Tensors)
{
    private const uint Version = 3;
    private const int DefaultAlignment = 32;
    private const long LongestFile = 1L << 30;

    /// <summary>The first four bytes of every such file.</summary>
    public static ReadOnlySpan<byte> Magic => "GGUF"u8;

    /// <summary>Reads a file.</summary>
    /// <exception cref="InvalidDataException">Not such a file, damaged, larger than 1 GiB, or with tensors of another type.</exception>
    public static GgufFile Read(string path)
    {
        using var stream = File.OpenRead(path);
        if (stream.Length > LongestFile)
        {
            throw new InvalidDataException($"{stream.Length} bytes are no control vector");
        }

        var bytes = new byte[stream.Length];
        stream.ReadExactly(bytes);
        return new GgufReader(bytes).Read();
    }

    /// <summary>Writes version 3, with texts, then numbers as int32, then float32 tensors.</summary>
    public void Write(Stream stream)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write((ulong)Tensors.Count);
        writer.Write((ulong)(Texts.Count + Numbers.Count));
        foreach (var (key, text) in Texts)
        {
            WriteText(writer, key);
            writer.Write((uint)GgufType.Text);
            WriteText(writer, text);
        }

        foreach (var (key, number) in Numbers)
        {
            WriteText(writer, key);
            writer.Write((uint)GgufType.Int32);
            writer.Write(checked((int)number));
        }

        ulong offset = 0;
        foreach (var tensor in Tensors)
        {
            WriteText(writer, tensor.Name);
            writer.Write((uint)tensor.Shape.Count);
            foreach (ulong length in tensor.Shape)
            {
                writer.Write(length);
            }

            writer.Write((uint)GgmlType.F32);
            writer.Write(offset);
            offset += (ulong)Aligned(tensor.Elements.Length * sizeof(float));
        }

        foreach (var tensor in Tensors)
        {
            Pad(writer);
            foreach (float element in tensor.Elements)
            {
                writer.Write(element);
            }
        }

        Pad(writer);
    }

    internal static long Aligned(long position, long alignment = DefaultAlignment) => (position + alignment - 1) / alignment * alignment;

    private static void WriteText(BinaryWriter writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void Pad(BinaryWriter writer)
    {
        writer.Flush();
        long position = writer.BaseStream.Position;
        writer.Write(new byte[Aligned(position) - position]);
    }
}

/// <summary>Types of metadata values.</summary>
internal enum GgufType : uint
{
    UInt8 = 0,
    Int8 = 1,
    UInt16 = 2,
    Int16 = 3,
    UInt32 = 4,
    Int32 = 5,
    Float32 = 6,
    Bool = 7,
    Text = 8,
    Array = 9,
    UInt64 = 10,
    Int64 = 11,
    Float64 = 12,
}

/// <summary>Types of elements that are read here.</summary>
internal enum GgmlType : uint
{
    F32 = 0,
    F16 = 1,
    BF16 = 30,
}

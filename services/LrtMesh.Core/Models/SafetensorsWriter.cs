using System.Buffers.Binary;
using System.Text.Json;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>A tensor to write.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Its sizes.</param>
/// <param name="Type">Its element type.</param>
public sealed record TensorPlan(string Name, IReadOnlyList<long> Shape, ScalarType Type)
{
    /// <summary>Bytes that it takes.</summary>
    public long Length => SafetensorsType.Of(Type).BytesOf(Shape)
        ?? throw new LrtMeshException(ErrorReason.InvalidArgument, $"tensor '{Name}' of shape [{string.Join(", ", Shape)}] is too large for a file");
}

/// <summary>Writes safetensors files, each to a temporary file beside the target that is then renamed.</summary>
public static class SafetensorsWriter
{
    private const int PieceElements = 16 << 20; // a span holds at most 2 GiB

    /// <summary>Writes tensors that are all in memory, in the order given.</summary>
    /// <param name="path">The file.</param>
    /// <param name="tensors">Names and contiguous CPU tensors.</param>
    /// <param name="metadata">Texts for the header's <c>__metadata__</c>.</param>
    public static void Write(string path, IReadOnlyList<(string Name, Tensor Tensor)> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var byName = tensors.ToDictionary(t => t.Name, t => t.Tensor);
        Write(path, [.. tensors.Select(t => new TensorPlan(t.Name, t.Tensor.shape, t.Tensor.dtype))], plan => byName[plan.Name], metadata);
    }

    /// <summary>Writes tensors that are made one after the other, so that one at a time is in memory.</summary>
    /// <param name="path">The file.</param>
    /// <param name="plans">What to write, in order.</param>
    /// <param name="make">Makes a tensor: contiguous, on the CPU, and as planned.</param>
    /// <param name="metadata">Texts for the header's <c>__metadata__</c>.</param>
    public static void Write(
        string path, IReadOnlyList<TensorPlan> plans, Func<TensorPlan, Tensor> make, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var temporary = path + ".tmp";
        try
        {
            using (var file = File.Create(temporary))
            {
                WriteHeader(file, plans, metadata);
                foreach (var plan in plans)
                {
                    using var scope = NewDisposeScope();
                    WriteTensor(file, plan, make(plan));
                }

                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    private static void WriteTensor(FileStream file, TensorPlan plan, Tensor tensor)
    {
        if (tensor.dtype != plan.Type || !tensor.shape.SequenceEqual(plan.Shape))
        {
            throw new InvalidOperationException($"tensor '{plan.Name}' was made with another type or shape than planned");
        }

        var flat = tensor.view(-1); // [elements]
        for (var at = 0L; at < flat.numel(); at += PieceElements)
        {
            using var piece = flat.narrow(0, at, Math.Min(PieceElements, flat.numel() - at));
            file.Write(piece.bytes);
        }
    }

    private static void WriteHeader(FileStream file, IReadOnlyList<TensorPlan> plans, IReadOnlyDictionary<string, string>? metadata)
    {
        using var header = new MemoryStream();
        using (var json = new Utf8JsonWriter(header))
        {
            json.WriteStartObject();
            if (metadata is not null)
            {
                json.WriteStartObject("__metadata__");
                foreach (var (key, value) in metadata)
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            var offset = 0L;
            foreach (var plan in plans)
            {
                var end = offset + plan.Length;
                json.WriteStartObject(plan.Name);
                json.WriteString("dtype", SafetensorsType.Of(plan.Type).Name);
                json.WriteStartArray("shape");
                foreach (var size in plan.Shape)
                {
                    json.WriteNumberValue(size);
                }

                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(end);
                json.WriteEndArray();
                json.WriteEndObject();
                offset = end;
            }

            json.WriteEndObject();
        }

        // Spaces round the header up, so that the tensors start at a multiple of 8.
        var padding = (8 - (int)(header.Length % 8)) % 8;
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length + padding);
        file.Write(length);
        header.WriteTo(file);
        file.Write("       "u8[..padding]);
    }
}

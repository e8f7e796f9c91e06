using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Google.Protobuf;
using LrtMesh.V1;

namespace LrtMesh.Cli.Interchange;

/// <summary>
/// Directions of one model by layer, as a file that other programs read and write. A GGUF control vector has tensors <c>direction.N</c>, which
/// llama.cpp adds after block N, counted from 0: N is the layer here. It begins at 1, so the output of block 0 cannot be carried. Safetensors have
/// <c>direction.N</c>, or <c>N</c> and <c>layer_activations.N</c>, the keys of repeng's and steering-vectors' dictionaries, which count alike.
/// </summary>
/// <param name="Family">Family of the model, such as llama; null where the file does not say.</param>
/// <param name="Directions">Elements by layer.</param>
/// <param name="Vectors">What LrtMesh knew of each vector; empty for a file of another program.</param>
internal sealed partial record VectorFile(string? Family, IReadOnlyDictionary<uint, float[]> Directions, IReadOnlyList<Vector> Vectors)
{
    private const string Format = "lrtmesh.vector.1";
    private const string Architecture = "controlvector";

    /// <summary>Reads a GGUF control vector or safetensors, whichever it is.</summary>
    /// <exception cref="CommandException">It is neither, or damaged, or holds something else.</exception>
    public static VectorFile Read(string path)
    {
        try
        {
            var file = IsGguf(path) ? ReadGguf(path) : ReadSafetensors(path);
            if (file.Directions.Count == 0)
            {
                throw new InvalidDataException("it has no directions");
            }

            foreach (var (layer, elements) in file.Directions)
            {
                if (!elements.All(float.IsFinite))
                {
                    throw new InvalidDataException($"direction.{layer} is not finite");
                }
            }

            return file;
        }
        catch (Exception e) when (e is InvalidDataException or EndOfStreamException or JsonException or InvalidOperationException or FormatException or OverflowException or InvalidProtocolBufferException or KeyNotFoundException)
        {
            throw new CommandException($"{path}: not a steering vector: {e.Message}", "Read are GGUF control vectors, and safetensors with tensors named direction.N, layer_activations.N or N, N being a layer counted from 0.", e);
        }
    }

    /// <summary>Writes the file: GGUF if its name ends so, otherwise safetensors.</summary>
    /// <exception cref="CommandException">A GGUF control vector cannot carry layer 0.</exception>
    public async Task WriteAsync(string path, CancellationToken cancellation)
    {
        if (path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase))
        {
            WriteGguf(path);
            return;
        }

        await using var writer = new SafetensorsWriter(path);
        foreach (var (layer, elements) in Directions.OrderBy(direction => direction.Key))
        {
            var bytes = new byte[elements.Length * sizeof(float)];
            for (int i = 0; i < elements.Length; i++)
            {
                BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), elements[i]);
            }

            writer.Add($"direction.{layer}", "F32", sizeof(float), rowWidth: null).Append(bytes);
        }

        var metadata = new Dictionary<string, string> { ["format"] = Format, ["lrtmesh.vectors"] = $"[{string.Join(',', Vectors.Select(vector => JsonFormatter.Default.Format(vector)))}]" };
        if (Family is not null)
        {
            metadata["model_type"] = Family;
        }

        await writer.FinishAsync(metadata, cancellation);
    }

    private static bool IsGguf(string path)
    {
        Span<byte> magic = stackalloc byte[GgufFile.Magic.Length];
        using var file = File.OpenRead(path);
        return file.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false) == magic.Length && magic.SequenceEqual(GgufFile.Magic);
    }

    private static VectorFile ReadGguf(string path)
    {
        var file = GgufFile.Read(path);
        string architecture = file.Texts.GetValueOrDefault("general.architecture", "nothing");
        return architecture == Architecture
            ? new VectorFile(file.Texts.GetValueOrDefault("controlvector.model_hint"), ByLayer(file.Tensors.Select(tensor => (tensor.Name, tensor.Shape.Count, tensor.Elements))), [])
            : throw new InvalidDataException($"a GGUF file of {architecture}, not of a {Architecture}");
    }

    private static VectorFile ReadSafetensors(string path)
    {
        var file = SafetensorsFile.Read(path);
        using var known = JsonDocument.Parse(file.Metadata.GetValueOrDefault("lrtmesh.vectors", "[]"));
        Vector[] vectors = [.. known.RootElement.EnumerateArray().Select(vector => JsonParser.Default.Parse<Vector>(vector.GetRawText()))];
        return new VectorFile(file.Metadata.GetValueOrDefault("model_type"), ByLayer(file.Tensors.Select(tensor => (tensor.Name, tensor.Shape.Length, tensor.Elements))), vectors);
    }

    private static Dictionary<uint, float[]> ByLayer(IEnumerable<(string Name, int Dimensions, float[] Elements)> tensors)
    {
        var directions = new Dictionary<uint, float[]>();
        foreach (var (name, dimensions, elements) in tensors)
        {
            var match = DirectionName().Match(name);
            if (!match.Success || dimensions != 1 || !uint.TryParse(match.Groups[1].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out uint layer))
            {
                throw new InvalidDataException($"its tensor {name} of {dimensions} dimensions is no direction");
            }

            if (!directions.TryAdd(layer, elements))
            {
                throw new InvalidDataException($"layer {layer} comes twice");
            }
        }

        return directions;
    }

    private void WriteGguf(string path)
    {
        if (Directions.ContainsKey(0))
        {
            throw new CommandException("A GGUF control vector begins at layer 1 and cannot carry a direction of layer 0.", "Write safetensors: --out FILE.safetensors.");
        }

        var texts = new Dictionary<string, string> { ["general.architecture"] = Architecture };
        if (Family is not null)
        {
            texts["controlvector.model_hint"] = Family;
        }

        var tensors = Directions.OrderBy(direction => direction.Key).Select(direction => new GgufTensor($"direction.{direction.Key}", [(ulong)direction.Value.Length], direction.Value));
        string partial = path + ".partial";
        using (var stream = File.Create(partial))
        {
            new GgufFile(texts, new Dictionary<string, long> { ["controlvector.layer_count"] = Directions.Count }, [.. tensors]).Write(stream);
        }

        File.Move(partial, path, overwrite: true);
    }

    [GeneratedRegex(@"^(?:direction\.|layer_activations\.)?([0-9]+)$", RegexOptions.CultureInvariant)]
    private static partial Regex DirectionName();
}

using System.Globalization;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Core.Verification;

/// <summary>
/// A safetensors file of what a reference implementation computes: <c>input_ids</c> [B, T], <c>hidden.embed</c> and <c>hidden.N</c>
/// [B, T, width], <c>logits</c> [B, T, vocabulary], <c>greedy_ids</c> [B, n], <c>greedy_stop</c> [B], <c>steer.layer</c>,
/// <c>steer.vector</c> [width], <c>steer.alpha</c>, <c>steer.logits</c> and <c>ablate.logits</c>. Only <c>input_ids</c> must be there, and something to compare.
/// </summary>
internal sealed class ReferenceActivations : IDisposable
{
    private static readonly string[] _steering = ["steer.layer", "steer.vector", "steer.alpha"];
    private static readonly string[] _steered = ["steer.logits", "ablate.logits"];
    private static readonly string[] _known = ["input_ids", "hidden.embed", "logits", "greedy_ids", "greedy_stop", .. _steering, .. _steered];

    private readonly SafetensorsFile _file;
    private readonly ModelConfig _config;

    private ReferenceActivations(SafetensorsFile file, ModelConfig config)
    {
        _file = file;
        _config = config;
        InputIds = Integers("input_ids", 2, out var shape);
        (Rows, Tokens) = (shape[0], shape[1]);
        Check();
    }

    /// <summary>B.</summary>
    public long Rows { get; }

    /// <summary>T.</summary>
    public long Tokens { get; }

    /// <summary>[B·T].</summary>
    public long[] InputIds { get; }

    /// <summary>The layers that the file has.</summary>
    public IReadOnlyList<int> Layers { get; private set; } = [];

    /// <summary>Opens a file and checks that it fits a model.</summary>
    /// <exception cref="LrtMeshException">Damaged, or of another model; names file and tensor.</exception>
    public static ReferenceActivations Open(string path, ModelConfig config)
    {
        var file = SafetensorsFile.Open(path);
        try
        {
            return new ReferenceActivations(file, config);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Whether the file has a tensor.</summary>
    public bool Has(string name) => _file.Tensors.ContainsKey(name);

    /// <summary>Reads a tensor of floats.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="shape">The shape that it must have.</param>
    public float[] Floats(string name, params long[] shape)
    {
        using var tensor = _file.Read(name, shape, ScalarType.Float32);
        return tensor.Floats().ToArray();
    }

    /// <summary>Reads a tensor of whole numbers.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="dimensions">How many dimensions it must have.</param>
    /// <param name="shape">Its shape.</param>
    public long[] Integers(string name, int dimensions, out IReadOnlyList<long> shape)
    {
        if (!Has(name))
        {
            throw Wrong(name, "is missing");
        }

        shape = _file.Tensors[name].Shape;
        if (shape.Count != dimensions || shape.Any(size => size == 0))
        {
            throw Wrong(name, $"has shape [{string.Join(", ", shape)}], and {dimensions} dimensions, none empty, are needed");
        }

        using var tensor = _file.Read(name, shape, ScalarType.Int64);
        return [.. tensor.data<long>()];
    }

    /// <summary>An error at a tensor of this file.</summary>
    public LrtMeshException Wrong(string name, string description) => new(ErrorReason.FailedPrecondition, $"{_file.Path}: tensor '{name}' {description}");

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void Check()
    {
        var layers = new SortedSet<int>();
        foreach (var name in _file.Tensors.Keys.Except(_known))
        {
            if (!name.StartsWith("hidden.", StringComparison.Ordinal) || !int.TryParse(name.AsSpan(7), NumberStyles.None, CultureInfo.InvariantCulture, out var layer))
            {
                throw Wrong(name, $"is not known here; known are hidden.N for a layer N, {string.Join(", ", _known)}");
            }

            if (layer >= _config.Layers)
            {
                throw Wrong(name, $"is of layer {layer}, and the checkpoint has layers 0 to {_config.Layers - 1}");
            }

            layers.Add(layer);
        }

        Layers = [.. layers];
        var steered = Array.FindAll(_steered, Has);
        if (steered.Length > 0 && _steering.FirstOrDefault(name => !Has(name)) is { } missing)
        {
            throw Wrong(missing, $"is missing, and {steered[0]} needs it");
        }

        if (Has("greedy_stop") && !Has("greedy_ids"))
        {
            throw Wrong("greedy_ids", "is missing, and greedy_stop needs it");
        }

        if (Layers.Count == 0 && steered.Length == 0 && !Has("hidden.embed") && !Has("logits") && !Has("greedy_ids"))
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{_file.Path}: holds nothing to compare with: hidden states, logits or greedy_ids are needed");
        }

        var strange = Array.FindIndex(InputIds, id => id < 0 || id >= _config.Vocabulary);
        if (strange >= 0)
        {
            throw Wrong("input_ids", $"holds {InputIds[strange]}, and the checkpoint's vocabulary has {_config.Vocabulary} tokens");
        }

        if (Tokens > _config.Context)
        {
            throw Wrong("input_ids", $"has {Tokens} tokens a row, and the checkpoint's context is {_config.Context}");
        }
    }
}

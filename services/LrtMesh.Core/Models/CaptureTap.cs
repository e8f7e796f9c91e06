using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>Keeps the outputs of some layers; the pass stops after the last of them.</summary>
/// <param name="layers">The layers wanted.</param>
public sealed class CaptureTap(IReadOnlyList<int> layers) : Tap
{
    private readonly Dictionary<int, Tensor> _captured = [];

    /// <inheritdoc/>
    public override int? LastLayer { get; } = layers.Max();

    /// <summary>A layer's output, [batch, seq, width], once the pass has run.</summary>
    public Tensor this[int layer] => _captured[layer];

    /// <inheritdoc/>
    public override Tensor AfterBlock(int layer, Tensor hidden)
    {
        if (layers.Contains(layer))
        {
            _captured[layer] = hidden;
        }

        return hidden;
    }
}

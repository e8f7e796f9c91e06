using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>Puts given states in the place of a layer's own at some positions of one sequence; the pass runs on from them.</summary>
/// <param name="replacedLayer">The layer.</param>
/// <param name="positions">Positions, [n], int64.</param>
/// <param name="states">What comes there, [n, width].</param>
internal sealed class ReplaceTap(int replacedLayer, Tensor positions, Tensor states) : Tap
{
    /// <inheritdoc/>
    public override Tensor AfterBlock(int layer, Tensor hidden) =>
        layer == replacedLayer ? hidden.index_copy(1, positions.to(hidden.device), states.to(hidden.dtype, hidden.device).unsqueeze(0)) : hidden;
}

using TorchSharp;

namespace LrtMesh.Core.Maps;

/// <summary>A as a solver gives it, in the dispose scope open then.</summary>
/// <param name="Map">[dt, ds], float64.</param>
/// <param name="Rank">Directions of the source that carry anything.</param>
/// <param name="ConstantDimensions">Dimensions of the source that never vary.</param>
internal sealed record Solution(torch.Tensor Map, int Rank, int ConstantDimensions)
{
    /// <summary>Steps taken; 0 for a closed form.</summary>
    public int Iterations { get; init; }

    /// <summary>False if the steps ended before what they minimize stopped falling.</summary>
    public bool Converged { get; init; } = true;
}

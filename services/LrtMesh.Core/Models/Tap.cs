using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// What may watch or change the residual stream while a batch runs. A tap is made for one batch, so that two requests never
/// share state; the module itself carries no hooks.
/// </summary>
public abstract class Tap
{
    /// <summary>The pass stops after this layer; null runs all of them.</summary>
    public virtual int? LastLayer => null;

    /// <summary>Whether it keeps tensors that it was called with; where it does not, a block's output may be written over the one before.</summary>
    public virtual bool Keeps => true;

    /// <summary>Called with each block's output.</summary>
    /// <param name="layer">The block, from 0.</param>
    /// <param name="hidden">[batch, seq, width], float32.</param>
    /// <returns>What the next block reads: <paramref name="hidden"/> itself, which may be changed in place, or a fresh tensor.</returns>
    public abstract Tensor AfterBlock(int layer, Tensor hidden);
}

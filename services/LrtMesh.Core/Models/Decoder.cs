using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// The one decoder: it reads the configuration record, and a family is data. Not safe for concurrent use; a loaded model
/// runs it on its model thread. Callers hold the dispose scope.
/// </summary>
public sealed class Decoder : IDisposable
{
    private readonly jit.CompilationUnit _script;
    private readonly Tensor _cos; // [context, head]
    private readonly Tensor _sin; // [context, head]

    /// <summary>A decoder over weights, which it owns.</summary>
    public Decoder(ModelConfig config, DecoderWeights weights)
    {
        Config = config;
        Weights = weights;
        _script = DecoderScript.Compile(config);
        (_cos, _sin) = RotaryTable(config);
    }

    /// <summary>What it is made of.</summary>
    public ModelConfig Config { get; }

    /// <summary>Its weights; replaced by the trainer at every step, by nobody else.</summary>
    public DecoderWeights Weights { get; set; }

    /// <summary>Reads whole sequences from position 0, all tokens attended causally, without a cache.</summary>
    /// <param name="ids">[batch, seq], int64. Shorter sequences are padded on the right; what comes out there means nothing.</param>
    /// <param name="tap">Sees each block's output.</param>
    /// <returns>The residual stream after the last block that ran, [batch, seq, width].</returns>
    public Tensor Read(Tensor ids, Tap? tap)
    {
        var length = ids.size(1);
        var cos = _cos.narrow(0, 0, length).view(1, length, 1, Config.HeadWidth); // [1, seq, 1, head]
        var sin = _sin.narrow(0, 0, length).view(1, length, 1, Config.HeadWidth);
        var hidden = Embed(ids); // [batch, seq, width]
        for (var layer = 0; layer < Config.Layers; layer++)
        {
            var w = Weights.Blocks[layer];
            hidden = (Tensor)_script.invoke(
                "whole", hidden, w.AttentionNorm, w.Qkv, w.AttentionOutput, w.MlpNorm, w.GateUp, w.Down, cos, sin);
            hidden = tap?.AfterBlock(layer, hidden) ?? hidden;
            if (tap?.LastLayer == layer)
            {
                break;
            }
        }

        return hidden;
    }

    /// <summary>Reads the next tokens of sequences whose earlier tokens are in the cache.</summary>
    /// <param name="ids">[batch, seq], int64; padded on the right.</param>
    /// <param name="positions">[batch, seq], int64: absolute positions; those of padding go on counting.</param>
    /// <param name="cache">Where keys and values are; sequence i of the batch is in slot <paramref name="firstSlot"/> + i.</param>
    /// <param name="firstSlot">Slot of the batch's first sequence.</param>
    /// <param name="reach">One past the largest position of the batch.</param>
    /// <param name="tap">Sees each block's output.</param>
    /// <returns>The residual stream after the last block, [batch, seq, width].</returns>
    public Tensor Advance(Tensor ids, Tensor positions, KvCache cache, int firstSlot, int reach, Tap? tap)
    {
        var batch = ids.size(0);
        var length = ids.size(1);
        var flat = positions.view(-1);
        var cos = _cos.index_select(0, flat).view(batch, length, 1, Config.HeadWidth); // [batch, seq, 1, head]
        var sin = _sin.index_select(0, flat).view(batch, length, 1, Config.HeadWidth);
        var slots = arange(firstSlot, firstSlot + batch, ScalarType.Int64).unsqueeze(1); // [batch, 1]
        // A token sees the positions up to its own: [batch, 1, seq, reach].
        var mask = arange(reach, ScalarType.Int64).view(1, 1, 1, reach) <= positions.view(batch, 1, length, 1);
        var hidden = Embed(ids); // [batch, seq, width]
        for (var layer = 0; layer < Config.Layers; layer++)
        {
            var w = Weights.Blocks[layer];
            hidden = (Tensor)_script.invoke(
                "cached", hidden, w.AttentionNorm, w.Qkv, w.AttentionOutput, w.MlpNorm, w.GateUp, w.Down, cos, sin,
                cache.Keys[layer], cache.Values[layer], slots, positions, firstSlot, reach, mask);
            hidden = tap?.AfterBlock(layer, hidden) ?? hidden;
        }

        return hidden;
    }

    /// <summary>Next-token scores of rows of the last block's output.</summary>
    /// <param name="hidden">[..., width].</param>
    /// <returns>[..., vocabulary], float32.</returns>
    public Tensor Logits(Tensor hidden) =>
        ((Tensor)_script.invoke("logits", hidden, Weights.FinalNorm, Weights.Head)).to(ScalarType.Float32);

    /// <inheritdoc/>
    public void Dispose()
    {
        Weights.Dispose();
        _cos.Dispose();
        _sin.Dispose();
        _script.Dispose();
    }

    private Tensor Embed(Tensor ids) => ((Tensor)_script.invoke("embed", ids, Weights.Embedding)).to(ScalarType.Float32);

    /// <summary>Angles of the rotary positions (Su et al., RoFormer, eq. 15), computed in float64.</summary>
    private static (Tensor Cos, Tensor Sin) RotaryTable(ModelConfig config)
    {
        using var scope = NewDisposeScope();
        var exponents = arange(0, config.HeadWidth, 2, ScalarType.Float64) / config.HeadWidth; // [head/2]
        var frequencies = pow(config.RopeTheta, -exponents);
        var angles = arange(config.Context, ScalarType.Float64).unsqueeze(1) * frequencies; // [context, head/2]
        var both = cat([angles, angles], -1); // [context, head]
        return (both.cos().to(ScalarType.Float32).DetachFromDisposeScope(), both.sin().to(ScalarType.Float32).DetachFromDisposeScope());
    }
}

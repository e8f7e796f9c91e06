using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// Cosines and sines of the rotary positions, computed in float64 and kept in float32. It reaches as far as was asked for so far:
/// a context of 131,072 tokens takes no memory until a sequence is that long.
/// </summary>
/// <param name="frequencies">Radians a position, [width/2].</param>
/// <param name="magnitude">Multiplies both.</param>
/// <param name="context">Positions at most.</param>
/// <param name="device">Where the model is.</param>
internal sealed class RotaryTable : IDisposable
{
    private const int FirstReach = 64;

    private readonly double[] _frequencies;
    private readonly double _magnitude;
    private readonly int _context;
    private readonly Device _device;
    private Tensor _cos; // [reached, width]
    private Tensor _sin; // [reached, width]

    public RotaryTable(double[] frequencies, double magnitude, int context, Device device)
    {
        (_frequencies, _magnitude, _context, _device) = (frequencies, magnitude, context, device);
        (_cos, _sin) = Compute(Math.Min(FirstReach, context));
    }

    /// <summary>Both for the positions 0 to <paramref name="reach"/> − 1 at least, [reached, width].</summary>
    public (Tensor Cos, Tensor Sin) To(int reach)
    {
        if (_cos.size(0) < reach)
        {
            Dispose();
            (_cos, _sin) = Compute(Math.Max(reach, (int)Math.Min(_context, 2L * reach)));
        }

        return (_cos, _sin);
    }

    public void Dispose()
    {
        _cos.Dispose();
        _sin.Dispose();
    }

    private (Tensor Cos, Tensor Sin) Compute(int reach)
    {
        using var scope = NewDisposeScope();
        var angles = tensor(Enumerable.Range(0, reach).Select(position => (double)position).ToArray(), [reach, 1]) * tensor(_frequencies, ScalarType.Float64); // [reach, width/2]
        var both = cat([angles, angles], -1);
        return (
            both.cos().mul_(Number.Of(_magnitude)).to(ScalarType.Float32, _device).DetachFromDisposeScope(),
            both.sin().mul_(Number.Of(_magnitude)).to(ScalarType.Float32, _device).DetachFromDisposeScope());
    }
}

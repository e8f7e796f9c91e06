using System.Numerics.Tensors;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace LrtMesh.Core.Models.Steps;

/// <summary>The product of a few rows with a matrix that torch holds, by the part: y = (x·wᵀ)·s + b.</summary>
internal sealed unsafe class RowProduct
{
    private const int TileBytes = 64 * 1024; // of weights: a part takes some microseconds, and its weights stay in a core's second cache
    private const int Multiple = 8; // outputs of a part, but for the last

    private readonly byte* _weights; // [outputs, inputs]
    private readonly ScalarType _type;
    private readonly int _elementSize;
    private readonly float[]? _scale;
    private readonly float[]? _bias;

    /// <summary>A product with weights [outputs, inputs], which have to live as long.</summary>
    /// <param name="weights">Float32, bfloat16 or int8; contiguous, on the CPU.</param>
    /// <param name="scale">[outputs]; where the weights are int8.</param>
    /// <param name="bias">[outputs].</param>
    public RowProduct(Tensor weights, Tensor? scale = null, Tensor? bias = null)
    {
        (Outputs, Inputs) = ((int)weights.size(0), (int)weights.size(1));
        _type = weights.dtype;
        _elementSize = SafetensorsType.Of(_type).Bits / 8;
        _weights = TensorMemory.Address(weights);
        var least = Math.Max(TileBytes / (Inputs * _elementSize), (Outputs / ThreadTeam.MaxParts) + 1);
        Share = (least + Multiple - 1) / Multiple * Multiple;
        _scale = Copy(scale);
        _bias = Copy(bias);
    }

    /// <summary>Elements of a row of x.</summary>
    public int Inputs { get; }

    /// <summary>Elements of a row of y.</summary>
    public int Outputs { get; }

    /// <summary>How many outputs are a part's share.</summary>
    public int Share { get; }

    /// <summary>Computes some outputs of each row.</summary>
    /// <param name="from">The first.</param>
    /// <param name="to">One past the last; may be beyond all.</param>
    /// <param name="x">[rows, inputs].</param>
    /// <param name="rows">1, or a multiple of <see cref="RowKernels.Block"/>.</param>
    /// <param name="y">[rows, outputs].</param>
    public void Compute(int from, int to, float* x, int rows, float* y)
    {
        to = Math.Min(to, Outputs);
        nint stride = (nint)Inputs * _elementSize;
        var weights = _weights + (from * stride);
        switch (_type)
        {
            case ScalarType.Float32:
                RowKernels.Dots<Float32Element>(weights, stride, to - from, Inputs, x, rows, y + from, Outputs);
                break;
            case ScalarType.BFloat16:
                RowKernels.Dots<BFloat16Element>(weights, stride, to - from, Inputs, x, rows, y + from, Outputs);
                break;
            default:
                RowKernels.Dots<Int8Element>(weights, stride, to - from, Inputs, x, rows, y + from, Outputs);
                break;
        }

        for (var row = 0; row < rows && (_scale ?? _bias) is not null; row++)
        {
            var some = new Span<float>(y + ((nint)row * Outputs) + from, to - from);
            if (_scale is not null)
            {
                TensorPrimitives.Multiply(some, _scale.AsSpan(from, some.Length), some);
            }

            if (_bias is not null)
            {
                TensorPrimitives.Add(some, _bias.AsSpan(from, some.Length), some);
            }
        }
    }

    /// <summary>A vector of any type as floats; null for null.</summary>
    public static float[]? Copy(Tensor? vector)
    {
        if (vector is null)
        {
            return null;
        }

        using var floats = vector.to(ScalarType.Float32);
        return floats.Floats().ToArray();
    }
}

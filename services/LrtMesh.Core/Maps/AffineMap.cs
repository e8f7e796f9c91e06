using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>y ≈ A·x + b from one layer of a source model to one of a target model.</summary>
/// <param name="Info">Ends, metrics and where it came from.</param>
/// <param name="A">[target_width, source_width], row-major.</param>
/// <param name="B">[target_width].</param>
public sealed record AffineMap(V1.AffineMap Info, float[] A, float[] B)
{
    /// <summary>Where the rows lay that it was fitted on; null where that is not known.</summary>
    public SourceRegion? Region { get; private init; }

    /// <summary>A map whose widths and digest are set from its elements.</summary>
    public static AffineMap Create(V1.AffineMap info, float[] a, float[] b)
    {
        var described = info.Clone();
        described.RegionDirections = 0;
        described.TargetWidth = (uint)b.Length;
        described.SourceWidth = (uint)(a.Length / b.Length);
        described.Digest = DigestOf(described, a, b);
        return new AffineMap(described, a, b);
    }

    /// <summary>The same map, knowing where the rows lay that it was fitted on.</summary>
    public AffineMap With(SourceRegion region)
    {
        var described = Info.Clone();
        described.RegionDirections = (uint)region.Variances.Length;
        return this with { Info = described, Region = region };
    }

    /// <summary>The content digest: over both ends and the elements, not over name or metrics.</summary>
    public static string DigestOf(V1.AffineMap info, ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        using var digest = new ContentDigest();
        return digest.Add("map").Add(info.SourceDigest).Add(info.Source.Layer).Add(info.TargetDigest).Add(info.Target.Layer)
            .Add(a).Add(b).Finish();
    }

    /// <summary>Maps rows or a vector, in float64: each comes out the same in any company.</summary>
    /// <param name="rows">[rows, source_width].</param>
    /// <param name="addBias">True for A·x + b (states), false for A·x (directions: in a difference of states the bias cancels).</param>
    /// <returns>[rows, target_width].</returns>
    public float[] Apply(ReadOnlySpan<float> rows, bool addBias)
    {
        var (from, to) = (A.Length / B.Length, B.Length);
        var (wide, weights) = (new double[rows.Length], new double[from]);
        TensorPrimitives.ConvertTruncating<float, double>(rows, wide);
        var mapped = new float[rows.Length / from * to];
        for (var output = 0; output < to; output++)
        {
            TensorPrimitives.ConvertTruncating<float, double>(A.AsSpan(output * from, from), weights);
            var bias = addBias ? B[output] : 0.0;
            for (var row = 0; row < rows.Length / from; row++)
            {
                mapped[(row * to) + output] = (float)(TensorPrimitives.Dot<double>(weights, wide.AsSpan(row * from, from)) + bias);
            }
        }

        return mapped;
    }

    /// <summary>Maps many rows, in float32.</summary>
    /// <param name="rows">[rows, source_width].</param>
    /// <param name="addBias">True for A·x + b (states), false for A·x (directions).</param>
    /// <returns>[rows, target_width].</returns>
    /// <exception cref="LrtMeshException">InvalidArgument: not whole rows of the source's width.</exception>
    public float[] ApplyRows(ReadOnlySpan<float> rows, bool addBias)
    {
        var width = A.Length / B.Length;
        if (rows.Length % width != 0)
        {
            throw LrtMeshException.Invalid("rows", $"must be rows of width {width}, and {rows.Length} elements are not whole rows");
        }

        using var scope = NewDisposeScope();
        var x = empty(rows.Length / width, width, dtype: ScalarType.Float32);
        MemoryMarshal.AsBytes(rows).CopyTo(x.bytes);
        var y = x.matmul(tensor(A, B.Length, width).t()); // [rows, target_width]
        if (addBias)
        {
            y.add_(tensor(B), Number.One);
        }

        return MemoryMarshal.Cast<byte, float>(y.contiguous().bytes).ToArray();
    }
}

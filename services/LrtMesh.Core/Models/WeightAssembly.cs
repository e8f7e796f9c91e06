using System.Globalization;
using LrtMesh.Core.Models.Families;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// From a family's tensors to the decoder's: separate ones side by side, fused ones in the decoder's order, transposed ones turned. The
/// one place that knows which tensors, of which shapes, a checkpoint of a configuration holds.
/// </summary>
/// <param name="config">What the decoder is made of.</param>
/// <param name="names">What its tensors are called.</param>
/// <param name="source">Where they come from.</param>
/// <param name="dtype">The type in which products are computed; norms are in the residual stream's.</param>
public sealed class WeightAssembly(ModelConfig config, TensorNames names, TensorSource source, ScalarType dtype)
{
    private long Queries => config.Heads * config.HeadWidth;

    private long Keys => config.KvHeads * config.HeadWidth;

    /// <summary>The decoder's weights, in the caller's dispose scope.</summary>
    public DecoderWeights Assemble()
    {
        var embedding = Matrix(names.Embedding, config.Vocabulary, config.Width);
        var positions = config.LearnedPositions ? Matrix(names.Positions!, config.Context, config.Width) : null;
        var blocks = Enumerable.Range(0, config.Layers).Select(Block).ToList();
        return new DecoderWeights(
            embedding,
            blocks,
            Norm(names.FinalNorm, config.Width),
            config.TiedHead ? embedding : source.Read(names.Head + ".weight", [config.Vocabulary, config.Width], dtype),
            config.Norm == NormKind.Layer ? NormBias(names.FinalNorm) : null,
            positions);
    }

    private BlockWeights Block(int layer)
    {
        string At(string? stem) => string.Format(CultureInfo.InvariantCulture, stem!, layer);
        var (before, after, centred) = (config.NormsBefore, config.NormsAfter, config.NormsBefore && config.Norm == NormKind.Layer);
        return new BlockWeights(
            AttentionNorm: before ? Norm(At(names.AttentionNorm), config.Width) : null,
            Qkv: names.Qkv is { } fused
                ? ByKind(Product(At(fused), config.QkvWidth, config.Width))
                : Stacked(Product(At(names.Query), Queries, config.Width), Product(At(names.Key), Keys, config.Width), Product(At(names.Value), Keys, config.Width)),
            AttentionOutput: Product(At(names.AttentionOutput), config.Width, Queries),
            MlpNorm: before ? Norm(At(names.MlpNorm), config.Width) : null,
            GateUp: !config.GatedMlp ? Product(At(names.Up), config.MlpWidth, config.Width)
                : names.GateUp is { } both ? Product(At(both), 2L * config.MlpWidth, config.Width)
                : Stacked(Product(At(names.Gate), config.MlpWidth, config.Width), Product(At(names.Up), config.MlpWidth, config.Width)),
            Down: Product(At(names.Down), config.Width, config.MlpWidth),
            AttentionNormBias: centred ? NormBias(At(names.AttentionNorm)) : null,
            QkvBias: !config.QkvBias ? null
                : names.Qkv is { } fusedBias ? ByKind(Bias(At(fusedBias), config.QkvWidth))
                : Stacked(Bias(At(names.Query), Queries), Bias(At(names.Key), Keys), Bias(At(names.Value), Keys)),
            QueryNorm: QueryKeyNormOf(At, names.QueryNorm, Queries),
            KeyNorm: QueryKeyNormOf(At, names.KeyNorm, Keys),
            AttentionOutputBias: config.AttentionOutputBias ? Bias(At(names.AttentionOutput), config.Width) : null,
            AttentionOutputNorm: after ? Norm(At(names.AttentionOutputNorm), config.Width) : null,
            MlpNormBias: centred ? NormBias(At(names.MlpNorm)) : null,
            GateUpBias: !config.MlpBias ? null
                : !config.GatedMlp ? Bias(At(names.Up), config.MlpWidth)
                : names.GateUp is { } bothBias ? Bias(At(bothBias), 2L * config.MlpWidth)
                : Stacked(Bias(At(names.Gate), config.MlpWidth), Bias(At(names.Up), config.MlpWidth)),
            DownBias: config.MlpBias ? Bias(At(names.Down), config.Width) : null,
            MlpOutputNorm: after ? Norm(At(names.MlpOutputNorm), config.Width) : null);
    }

    private Tensor? QueryKeyNormOf(Func<string?, string> at, string? stem, long whole) => config.QueryKeyNorm switch
    {
        QueryKeyNorm.Head => Norm(at(stem), config.HeadWidth),
        QueryKeyNorm.Whole => Norm(at(stem), whole),
        _ => null,
    };

    /// <summary>A table of rows, stored as it is used.</summary>
    private Tensor Matrix(string stem, long rows, long columns) => source.Read(names.Prefix + stem + ".weight", [rows, columns], dtype);

    /// <summary>The weights of a product, [outputs, inputs].</summary>
    private Tensor Product(string stem, long outputs, long inputs)
    {
        if (!names.Transposed)
        {
            return Matrix(stem, outputs, inputs);
        }

        using var stored = Matrix(stem, inputs, outputs);
        using var turned = stored.t();
        return turned.contiguous();
    }

    private Tensor Bias(string stem, long size) => source.Read(names.Prefix + stem + ".bias", [size], dtype);

    private Tensor Norm(string stem, long size)
    {
        var weights = source.Read(names.Prefix + stem + ".weight", [size], ScalarType.Float32);
        if (!names.NormsAroundZero)
        {
            return weights;
        }

        using (weights)
        {
            return weights + 1;
        }
    }

    private Tensor NormBias(string stem) => source.Read(names.Prefix + stem + ".bias", [config.Width], ScalarType.Float32);

    /// <summary>Fused rows that are stored head by head, in the order of all queries, all keys, all values.</summary>
    private Tensor ByKind(Tensor fused)
    {
        if (!names.QkvByHead)
        {
            return fused;
        }

        using (fused)
        using (var split = fused.view(config.Heads, 3, config.HeadWidth, -1)) // as many key heads as query heads
        using (var swapped = split.transpose(0, 1))
        {
            return swapped.reshape(fused.shape);
        }
    }

    private static Tensor Stacked(params Tensor[] parts)
    {
        var whole = cat(parts);
        foreach (var part in parts)
        {
            part.Dispose(); // here and not with the scope: a large model must not be held twice
        }

        return whole;
    }
}

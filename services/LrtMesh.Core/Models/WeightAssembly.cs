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
        var blocks = new List<BlockWeights>(); // grows with what is found: the configuration's number may be anything
        for (var layer = 0; layer < config.Layers; layer++)
        {
            blocks.Add(Block(layer));
        }

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
                : Products((At(names.Query), Queries), (At(names.Key), Keys), (At(names.Value), Keys)),
            AttentionOutput: Product(At(names.AttentionOutput), config.Width, Queries),
            MlpNorm: before ? Norm(At(names.MlpNorm), config.Width) : null,
            GateUp: !config.GatedMlp ? Product(At(names.Up), config.MlpWidth, config.Width)
                : names.GateUp is { } both ? Product(At(both), 2L * config.MlpWidth, config.Width)
                : Products((At(names.Gate), config.MlpWidth), (At(names.Up), config.MlpWidth)),
            Down: Product(At(names.Down), config.Width, config.MlpWidth),
            AttentionNormBias: centred ? NormBias(At(names.AttentionNorm)) : null,
            QkvBias: !config.QkvBias ? null
                : names.Qkv is { } fusedBias ? ByKind(Bias(At(fusedBias), config.QkvWidth))
                : Biases((At(names.Query), Queries), (At(names.Key), Keys), (At(names.Value), Keys)),
            QueryNorm: QueryKeyNormOf(At, names.QueryNorm, Queries),
            KeyNorm: QueryKeyNormOf(At, names.KeyNorm, Keys),
            AttentionOutputBias: config.AttentionOutputBias ? Bias(At(names.AttentionOutput), config.Width) : null,
            AttentionOutputNorm: after ? Norm(At(names.AttentionOutputNorm), config.Width) : null,
            MlpNormBias: centred ? NormBias(At(names.MlpNorm)) : null,
            GateUpBias: !config.MlpBias ? null
                : !config.GatedMlp ? Bias(At(names.Up), config.MlpWidth)
                : names.GateUp is { } bothBias ? Bias(At(bothBias), 2L * config.MlpWidth)
                : Biases((At(names.Gate), config.MlpWidth), (At(names.Up), config.MlpWidth)),
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
        var whole = source.Allocate([outputs, inputs], dtype);
        ReadProduct(stem, whole);
        return whole;
    }

    /// <summary>Products of the residual stream side by side, each read into its rows: a large model must not be held twice.</summary>
    private Tensor Products(params (string Stem, long Outputs)[] parts)
    {
        var whole = source.Allocate([parts.Sum(part => part.Outputs), config.Width], dtype);
        var at = 0L;
        foreach (var (stem, outputs) in parts)
        {
            using var rows = whole.narrow(0, at, outputs);
            ReadProduct(stem, rows);
            at += outputs;
        }

        return whole;
    }

    private void ReadProduct(string stem, Tensor target)
    {
        if (!names.Transposed)
        {
            source.ReadInto(names.Prefix + stem + ".weight", target);
            return;
        }

        using var stored = Matrix(stem, target.size(1), target.size(0)); // [inputs, outputs]
        using var turned = stored.t();
        target.copy_(turned);
    }

    private Tensor Biases(params (string Stem, long Size)[] parts)
    {
        var whole = source.Allocate([parts.Sum(part => part.Size)], dtype);
        var at = 0L;
        foreach (var (stem, size) in parts)
        {
            using var rows = whole.narrow(0, at, size);
            source.ReadInto(names.Prefix + stem + ".bias", rows);
            at += size;
        }

        return whole;
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
}

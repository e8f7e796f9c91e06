using System.Globalization;
using LrtMesh.Core.Models.Families;
using LrtMesh.Core.Tensors;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>
/// From a family's tensors to the decoder's: separate ones side by side, fused ones in the decoder's order, transposed ones turned. The
/// one place that knows which tensors, of which shapes, a checkpoint of a configuration holds.
/// </summary>
/// <param name="config">What the decoder is made of.</param>
/// <param name="names">What its tensors are called.</param>
/// <param name="source">Where they come from.</param>
/// <param name="dtype">Of the products' weights and the tables: float32, bfloat16 or int8; norms are in the residual stream's.</param>
public sealed class WeightAssembly(ModelConfig config, TensorNames names, TensorSource source, ScalarType dtype)
{
    private Tensor? _scratch; // freed with the caller's dispose scope

    private long Queries => config.Heads * config.HeadWidth;

    private long Keys => config.KvHeads * config.HeadWidth;

    private bool Quantizes => dtype == ScalarType.Int8;

    /// <summary>Of biases, learned positions and scales.</summary>
    private ScalarType Activations => DtypeChoice.ActivationsOf(dtype);

    /// <summary>The decoder's weights, in the caller's dispose scope.</summary>
    public DecoderWeights Assemble()
    {
        var embedding = Read(names.Prefix + names.Embedding, config.Vocabulary, config.Width);
        var positions = config.LearnedPositions
            ? source.Read($"{names.Prefix}{names.Positions}.weight", [config.Context, config.Width], Activations)
            : null;
        var blocks = new List<BlockWeights>(); // grows with what is found: the configuration's number may be anything
        for (var layer = 0; layer < config.Layers; layer++)
        {
            blocks.Add(Block(layer));
        }

        var head = config.TiedHead ? embedding : Read(names.Head, config.Vocabulary, config.Width);
        return new DecoderWeights(
            embedding.Values,
            blocks,
            Norm(names.FinalNorm, config.Width),
            head.Values,
            config.Norm == NormKind.Layer ? NormBias(names.FinalNorm) : null,
            positions,
            embedding.Scales,
            head.Scales);
    }

    private BlockWeights Block(int layer)
    {
        string At(string? stem) => string.Format(CultureInfo.InvariantCulture, stem!, layer);
        var (before, after, centred) = (config.NormsBefore, config.NormsAfter, config.NormsBefore && config.Norm == NormKind.Layer);
        var qkv = names.Qkv is { } fusedQkv
            ? ByKind(Product(At(fusedQkv), config.QkvWidth, config.Width))
            : Products((At(names.Query), Queries), (At(names.Key), Keys), (At(names.Value), Keys));
        var attentionOutput = Product(At(names.AttentionOutput), config.Width, Queries);
        var gateUp = !config.GatedMlp ? Product(At(names.Up), config.MlpWidth, config.Width)
            : names.GateUp is { } bothUp ? Product(At(bothUp), 2L * config.MlpWidth, config.Width)
            : Products((At(names.Gate), config.MlpWidth), (At(names.Up), config.MlpWidth));
        var down = Product(At(names.Down), config.Width, config.MlpWidth);
        return new BlockWeights(
            AttentionNorm: before ? Norm(At(names.AttentionNorm), config.Width) : null,
            Qkv: qkv.Values,
            AttentionOutput: attentionOutput.Values,
            MlpNorm: before ? Norm(At(names.MlpNorm), config.Width) : null,
            GateUp: gateUp.Values,
            Down: down.Values,
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
            MlpOutputNorm: after ? Norm(At(names.MlpOutputNorm), config.Width) : null,
            QkvScale: qkv.Scales,
            AttentionOutputScale: attentionOutput.Scales,
            GateUpScale: gateUp.Scales,
            DownScale: down.Scales);
    }

    private Tensor? QueryKeyNormOf(Func<string?, string> at, string? stem, long whole) => config.QueryKeyNorm switch
    {
        QueryKeyNorm.Head => Norm(at(stem), config.HeadWidth),
        QueryKeyNorm.Whole => Norm(at(stem), whole),
        _ => null,
    };

    /// <summary>A matrix that is stored as it is used, [rows, columns].</summary>
    private Matrix Read(string stem, long rows, long columns)
    {
        var whole = Allocate(rows, columns);
        ReadInto(stem + ".weight", whole);
        return whole;
    }

    /// <summary>The weights of a product, [outputs, inputs].</summary>
    private Matrix Product(string stem, long outputs, long inputs)
    {
        var whole = Allocate(outputs, inputs);
        ReadProduct(stem, whole);
        return whole;
    }

    /// <summary>Products of the residual stream side by side, each read into its rows: a large model must not be held twice.</summary>
    private Matrix Products(params (string Stem, long Outputs)[] parts)
    {
        var whole = Allocate(parts.Sum(part => part.Outputs), config.Width);
        var at = 0L;
        foreach (var (stem, outputs) in parts)
        {
            using var rows = whole.Values.narrow(0, at, outputs);
            using var scales = whole.Scales?.narrow(0, at, outputs);
            ReadProduct(stem, new(rows, scales));
            at += outputs;
        }

        return whole;
    }

    private void ReadProduct(string stem, Matrix target)
    {
        var name = names.Prefix + stem + ".weight";
        if (!names.Transposed)
        {
            ReadInto(name, target);
            return;
        }

        if (target.Scales is { } scales)
        {
            Int8Rows.ReadTurned(source, name, target.Values, scales);
            return;
        }

        using var stored = Scratch([target.Values.size(1), target.Values.size(0)], dtype); // [inputs, outputs]
        source.ReadInto(name, stored);
        using var turned = stored.t();
        target.Values.copy_(turned);
    }

    private void ReadInto(string name, Matrix target)
    {
        if (target.Scales is not { } scales)
        {
            source.ReadInto(name, target.Values);
            return;
        }

        Int8Rows.Read(source, name, target.Values, scales);
    }

    private Matrix Allocate(long rows, long columns) =>
        new(source.Allocate([rows, columns], dtype), Quantizes ? source.Allocate([rows], Activations) : null);

    private Tensor Biases(params (string Stem, long Size)[] parts)
    {
        var whole = source.Allocate([parts.Sum(part => part.Size)], Activations);
        var at = 0L;
        foreach (var (stem, size) in parts)
        {
            using var rows = whole.narrow(0, at, size);
            source.ReadInto(names.Prefix + stem + ".bias", rows);
            at += size;
        }

        return whole;
    }

    private Tensor Bias(string stem, long size) => source.Read(names.Prefix + stem + ".bias", [size], Activations);

    private Tensor Norm(string stem, long size)
    {
        var weights = source.Read(names.Prefix + stem + ".weight", [size], ScalarType.Float32);
        if (!names.NormsAroundZero)
        {
            return weights;
        }

        using (weights)
        {
            return weights.add(Number.One, Number.One);
        }
    }

    private Tensor NormBias(string stem) => source.Read(names.Prefix + stem + ".bias", [config.Width], ScalarType.Float32);

    private Matrix ByKind(Matrix fused) => new(ByKind(fused.Values), fused.Scales is { } scales ? ByKind(scales) : null);

    /// <summary>Fused rows that are stored head by head, in the order of all queries, all keys, all values.</summary>
    private Tensor ByKind(Tensor fused)
    {
        if (!names.QkvByHead)
        {
            return fused;
        }

        using var split = fused.view(config.Heads, 3, config.HeadWidth, -1); // as many key heads as query heads
        using var swapped = split.transpose(0, 1);
        using var ordered = Scratch(swapped.shape, fused.dtype);
        ordered.copy_(swapped);
        using var target = fused.view(ordered.shape);
        target.copy_(ordered);
        return fused;
    }

    /// <summary>Memory for a step between file and weights, valid until the next call. One for all: what comes and goes between weights that stay leaves holes in the heap.</summary>
    private Tensor Scratch(IReadOnlyList<long> shape, ScalarType type)
    {
        var elements = shape.Aggregate(1L, (product, size) => product * size);
        if (_scratch is null || _scratch.dtype != type || _scratch.numel() < elements)
        {
            _scratch?.Dispose();
            _scratch = source.Allocate([elements], type);
        }

        using var part = _scratch.narrow(0, 0, elements);
        return part.view([.. shape]);
    }

    /// <summary>Weights of a product or rows of a table; scales, one a row, where they are int8.</summary>
    private readonly record struct Matrix(Tensor Values, Tensor? Scales);
}

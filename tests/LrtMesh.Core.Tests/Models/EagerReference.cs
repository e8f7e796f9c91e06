using LrtMesh.Core.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>
/// A decoder of any configuration written for clearness: float64, one sequence, one head at a time, each formula spelt out, none of the
/// decoder's script.
/// </summary>
internal sealed class EagerReference(ModelConfig config, DecoderWeights weights)
{
    /// <summary>Hidden states after each block, [tokens, width], and logits, [tokens, vocabulary].</summary>
    public (List<Tensor> Layers, Tensor Logits) Run(long[] ids)
    {
        var x = Double(weights.Embedding).index_select(0, tensor(ids)) * config.EmbeddingScale;
        if (weights.Positions is { } learned)
        {
            x += Double(learned).narrow(0, 0, ids.Length);
        }

        var layers = new List<Tensor>();
        for (var layer = 0; layer < config.Layers; layer++)
        {
            x = Block(x, layer, weights.Blocks[layer]);
            layers.Add(x);
        }

        var logits = Product(Norm(x, weights.FinalNorm, weights.FinalNormBias), weights.Head, null);
        return (layers, config.LogitSoftcap is { } cap ? cap * tanh(logits / cap) : logits);
    }

    private Tensor Block(Tensor x, int layer, BlockWeights w)
    {
        var attention = Product(Attention(config.NormsBefore ? Norm(x, w.AttentionNorm!, w.AttentionNormBias) : x, layer, w), w.AttentionOutput, w.AttentionOutputBias);
        if (config.NormsAfter)
        {
            attention = Norm(attention, w.AttentionOutputNorm!, null);
        }

        var middle = config.ParallelResidual ? x : x + attention;
        var up = Product(config.NormsBefore ? Norm(middle, w.MlpNorm!, w.MlpNormBias) : middle, w.GateUp, w.GateUpBias);
        var inner = config.GatedMlp ? Activated(up.narrow(1, 0, config.MlpWidth)) * up.narrow(1, config.MlpWidth, config.MlpWidth) : Activated(up);
        var mlp = Product(inner, w.Down, w.DownBias);
        return x + attention + (config.NormsAfter ? Norm(mlp, w.MlpOutputNorm!, null) : mlp);
    }

    private Tensor Attention(Tensor x, int layer, BlockWeights w)
    {
        var (head, tokens) = (config.HeadWidth, (int)x.size(0));
        var all = Product(x, w.Qkv, w.QkvBias);
        var q = all.narrow(1, 0, config.Heads * head);
        var k = all.narrow(1, config.Heads * head, config.KvHeads * head);
        var v = all.narrow(1, (config.Heads + config.KvHeads) * head, config.KvHeads * head);
        if (config.QueryKeyNorm == QueryKeyNorm.Whole)
        {
            (q, k) = (RootMeanSquare(q, w.QueryNorm!), RootMeanSquare(k, w.KeyNorm!));
        }

        var scale = (config.AttentionScale ?? Math.Pow(head, -0.5)) / (config.ScalesAttentionByLayer ? layer + 1 : 1);
        var outputs = new List<Tensor>();
        for (var i = 0; i < config.Heads; i++)
        {
            var kv = i / (config.Heads / config.KvHeads);
            var query = Placed(q.narrow(1, i * head, head), w.QueryNorm, layer);
            var key = Placed(k.narrow(1, kv * head, head), w.KeyNorm, layer);
            var scores = query.matmul(key.t()) * scale;
            scores = config.AttentionSoftcap is { } cap ? cap * tanh(scores / cap) : scores;
            for (var token = 0; token < tokens; token++)
            {
                for (var other = 0; other < tokens; other++)
                {
                    if (other > token || token - other >= (config.WindowOf(layer) ?? int.MaxValue))
                    {
                        scores[token, other] = double.NegativeInfinity;
                    }
                }
            }

            outputs.Add(softmax(scores, 1).matmul(v.narrow(1, kv * head, head)));
        }

        return cat(outputs, 1);
    }

    /// <summary>One head's queries or keys, normed and rotated, [tokens, head].</summary>
    private Tensor Placed(Tensor x, Tensor? norm, int layer)
    {
        x = config.QueryKeyNorm == QueryKeyNorm.Head ? RootMeanSquare(x, norm!) : x;
        var half = config.RotatedWidth / 2;
        if (half == 0)
        {
            return x;
        }

        var isLocal = config.WindowOf(layer) is not null && config.LocalRopeTheta is not null;
        var scaling = isLocal ? config.LocalRopeScaling : config.RopeScaling;
        var frequencies = RopeScaling.Frequencies(
            isLocal ? config.LocalRopeTheta!.Value : config.RopeTheta, 2 * half, scaling, x.size(0) > config.AngleSwitch);
        var turned = x.clone();
        for (var i = 0; i < half; i++)
        {
            var angle = arange(x.size(0), ScalarType.Float64) * frequencies[i];
            var (cos, sin) = (angle.cos() * (scaling?.Magnitude ?? 1), angle.sin() * (scaling?.Magnitude ?? 1));
            var (a, b) = (x.select(1, i), x.select(1, i + half));
            turned.select(1, i).copy_((a * cos) - (b * sin));
            turned.select(1, i + half).copy_((b * cos) + (a * sin));
        }

        return turned;
    }

    private Tensor Norm(Tensor x, Tensor weight, Tensor? bias)
    {
        if (config.Norm == NormKind.Rms)
        {
            return RootMeanSquare(x, weight);
        }

        var centred = x - x.mean([1L], keepdim: true);
        return (centred / (centred.square().mean([1L], keepdim: true) + config.NormEpsilon).sqrt() * Double(weight)) + Double(bias!);
    }

    private Tensor RootMeanSquare(Tensor x, Tensor weight) => x / (x.square().mean([1L], keepdim: true) + config.NormEpsilon).sqrt() * Double(weight);

    private Tensor Activated(Tensor x) => config.Activation switch
    {
        Activation.Silu => x / (1 + exp(-x)),
        Activation.Gelu => 0.5 * x * (1 + erf(x / Math.Sqrt(2))),
        Activation.GeluTanh => 0.5 * x * (1 + tanh(Math.Sqrt(2 / Math.PI) * (x + (0.044715 * x * x * x)))),
        Activation.QuickGelu => x / (1 + exp(-1.702 * x)),
        Activation.Relu => x * x.gt(0),
        _ => x * x * x.gt(0),
    };

    private static Tensor Product(Tensor x, Tensor matrix, Tensor? bias) => x.matmul(Double(matrix).t()) + (bias is null ? 0 : Double(bias));

    private static Tensor Double(Tensor x) => x.to(ScalarType.Float64);
}

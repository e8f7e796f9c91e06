using System.Globalization;
using LrtMesh.Core.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>
/// A Llama written for clearness alone: float64, one token and one head at a time, plain arrays, none of the decoder's code.
/// It reads the checkpoint's tensors by their Hugging Face names.
/// </summary>
internal sealed class ReferenceLlama(ModelConfig config, SafetensorsFile file)
{
    private readonly Dictionary<string, double[]> _tensors = [];

    /// <summary>Hidden states after each block, [layer][token][width], and logits, [token][vocabulary].</summary>
    public (double[][][] Layers, double[][] Logits) Run(int[] ids)
    {
        var embedding = Weights("model.embed_tokens.weight", config.Vocabulary, config.Width);
        var hidden = ids.Select(id => embedding.AsSpan(id * config.Width, config.Width).ToArray()).ToArray();
        var layers = new List<double[][]>();
        for (var layer = 0; layer < config.Layers; layer++)
        {
            hidden = Block(layer, hidden);
            layers.Add(hidden);
        }

        var head = config.TiedHead ? embedding : Weights("lm_head.weight", config.Vocabulary, config.Width);
        var norm = Weights("model.norm.weight", config.Width);
        return ([.. layers], [.. hidden.Select(h => Product(head, Norm(h, norm)))]);
    }

    private double[][] Block(int layer, double[][] hidden)
    {
        string Name(string part) => string.Create(CultureInfo.InvariantCulture, $"model.layers.{layer}.{part}.weight");
        var (width, head) = (config.Width, config.HeadWidth);
        var norm1 = Weights(Name("input_layernorm"), width);
        var normed = hidden.Select(h => Norm(h, norm1)).ToArray();
        var q = Project("self_attn.q_proj", config.Heads);
        var k = Project("self_attn.k_proj", config.KvHeads);
        var v = Project("self_attn.v_proj", config.KvHeads);

        double[][] Project(string part, int heads)
        {
            var weights = Weights(Name(part), heads * head, width);
            return [.. normed.Select(x => Product(weights, x))];
        }

        var output = Weights(Name("self_attn.o_proj"), width, config.Heads * head);
        var norm2 = Weights(Name("post_attention_layernorm"), width);
        var gate = Weights(Name("mlp.gate_proj"), config.MlpWidth, width);
        var up = Weights(Name("mlp.up_proj"), config.MlpWidth, width);
        var down = Weights(Name("mlp.down_proj"), width, config.MlpWidth);
        return [.. hidden.Select((h, token) =>
        {
            var attended = Enumerable.Range(0, config.Heads).SelectMany(i => Attend(q, k, v, token, i)).ToArray();
            var after = Sum(h, Product(output, attended));
            var x = Norm(after, norm2);
            var gated = Product(gate, x).Zip(Product(up, x), (g, u) => g / (1 + Math.Exp(-g)) * u).ToArray();
            return Sum(after, Product(down, gated));
        })];
    }

    private double[] Attend(double[][] q, double[][] k, double[][] v, int token, int queryHead)
    {
        var keyHead = queryHead / (config.Heads / config.KvHeads);
        var query = Rotated(q[token], queryHead, token);
        var scores = Enumerable.Range(0, token + 1)
            .Select(t => query.Zip(Rotated(k[t], keyHead, t), (a, b) => a * b).Sum() / Math.Sqrt(config.HeadWidth)).ToArray();
        var exponentials = scores.Select(s => Math.Exp(s - scores.Max())).ToArray();
        var result = new double[config.HeadWidth];
        for (var t = 0; t <= token; t++)
        {
            for (var i = 0; i < result.Length; i++)
            {
                result[i] += exponentials[t] / exponentials.Sum() * v[t][(keyHead * config.HeadWidth) + i];
            }
        }

        return result;
    }

    private double[] Rotated(double[] all, int head, int position)
    {
        var half = config.HeadWidth / 2;
        var x = all.AsSpan(head * config.HeadWidth, config.HeadWidth).ToArray();
        var turned = new double[x.Length];
        for (var i = 0; i < half; i++)
        {
            var angle = position * Math.Pow(config.RopeTheta, -2.0 * i / config.HeadWidth);
            turned[i] = (x[i] * Math.Cos(angle)) - (x[i + half] * Math.Sin(angle));
            turned[i + half] = (x[i + half] * Math.Cos(angle)) + (x[i] * Math.Sin(angle));
        }

        return turned;
    }

    private double[] Norm(double[] x, double[] weights)
    {
        var scale = 1 / Math.Sqrt(x.Sum(e => e * e) / x.Length + config.NormEpsilon);
        return [.. x.Select((e, i) => e * scale * weights[i])];
    }

    private static double[] Product(double[] matrix, double[] x) =>
        [.. Enumerable.Range(0, matrix.Length / x.Length).Select(row => matrix.AsSpan(row * x.Length, x.Length).ToArray().Zip(x, (a, b) => a * b).Sum())];

    private static double[] Sum(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];

    private double[] Weights(string name, params long[] shape)
    {
        if (!_tensors.TryGetValue(name, out var values))
        {
            using var tensor = file.Read(name, shape, ScalarType.Float64);
            _tensors[name] = values = [.. tensor.data<double>()];
        }

        return values;
    }
}

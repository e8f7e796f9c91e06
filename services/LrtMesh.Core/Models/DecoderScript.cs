using System.Globalization;
using TorchSharp;

namespace LrtMesh.Core.Models;

/// <summary>
/// The decoder's parts as TorchScript functions: one call a block instead of some forty wrapped ones, which is what small
/// batches spend their time on. The source is written from the configuration: a family's block holds its own operators and no
/// choices. A TorchScript compile error ends the process, so every choice made here is compiled by a test.
/// </summary>
internal sealed class DecoderScript
{
    // Up to so many rows torch's int8 kernel is faster than turning the weights to bfloat16; its time grows with each row.
    private const int FewRows = 6;

    private readonly ModelConfig _config;
    private readonly string _epsilon;
    private readonly bool _rotates;
    private readonly bool _int8;

    private DecoderScript(ModelConfig config, bool int8)
    {
        _config = config;
        _epsilon = Literal(config.NormEpsilon);
        _rotates = config.RotatedWidth > 0;
        _int8 = int8;
    }

    /// <summary>Compiles the parts for a configuration.</summary>
    /// <remarks>
    /// "embed" (ids, embedding[, scale][, positions, learned]), "logits" (h, norm[, bias], head[, scale]), and a block three times: "whole" (h, weights, scale[, cos,
    /// sin]) attends causally to the whole batch; "masked" takes a mask after the scale; "cached" takes mask, keys, values,
    /// slots, positions, first and reach there. Where attention scores are capped there is no "whole".
    /// </remarks>
    /// <param name="config">What the decoder is made of.</param>
    /// <param name="int8">Whether weights are int8 and have scales.</param>
    public static torch.jit.CompilationUnit Compile(ModelConfig config, bool int8) =>
        torch.jit.compile(new DecoderScript(config, int8).Source().Replace("\r\n", "\n", StringComparison.Ordinal));

    /// <summary>The weights of a block that the script takes, in order.</summary>
    public static IEnumerable<string> BlockParameters(ModelConfig c, bool int8)
    {
        (string Name, bool Present)[] all =
        [
            (nameof(BlockWeights.AttentionNorm), c.NormsBefore), (nameof(BlockWeights.AttentionNormBias), c.NormsBefore && c.Norm == NormKind.Layer),
            (nameof(BlockWeights.Qkv), true), (nameof(BlockWeights.QkvScale), int8), (nameof(BlockWeights.QkvBias), c.QkvBias),
            (nameof(BlockWeights.QueryNorm), c.QueryKeyNorm != QueryKeyNorm.None), (nameof(BlockWeights.KeyNorm), c.QueryKeyNorm != QueryKeyNorm.None),
            (nameof(BlockWeights.AttentionOutput), true), (nameof(BlockWeights.AttentionOutputScale), int8),
            (nameof(BlockWeights.AttentionOutputBias), c.AttentionOutputBias),
            (nameof(BlockWeights.AttentionOutputNorm), c.NormsAfter),
            (nameof(BlockWeights.MlpNorm), c.NormsBefore), (nameof(BlockWeights.MlpNormBias), c.NormsBefore && c.Norm == NormKind.Layer),
            (nameof(BlockWeights.GateUp), true), (nameof(BlockWeights.GateUpScale), int8), (nameof(BlockWeights.GateUpBias), c.MlpBias),
            (nameof(BlockWeights.Down), true), (nameof(BlockWeights.DownScale), int8), (nameof(BlockWeights.DownBias), c.MlpBias), (nameof(BlockWeights.MlpOutputNorm), c.NormsAfter),
        ];
        return all.Where(part => part.Present).Select(part => part.Name);
    }

    // h is the residual stream [batch, seq, width], float32 whatever the weights' type: products are computed in the
    // weights' type and added to it. Attention without a cache runs in float32: on a CPU its backward in bfloat16 takes twice as
    // long. cos and sin are [batch or 1, seq, 1, rotated]; keys and values [slots, capacity, kv_heads, head].
    private string Source()
    {
        var c = _config;
        var angles = _rotates ? ", cos: Tensor, sin: Tensor" : "";
        var parameters = string.Concat(BlockParameters(c, _int8).Select(name => $", {name}: Tensor")); // of a block
        var arguments = string.Concat(BlockParameters(c, _int8).Select(name => ", " + name));
        var qkv = $"qkv(h{arguments}{(_rotates ? ", cos, sin" : "")})";
        var rest = $"rest(h, attended{arguments})";
        var floats = "q.transpose(1, 2).float(), k.transpose(1, 2).float(), v.transpose(1, 2).float()";
        var whole = c.AttentionSoftcap is not null ? "" : $"""

            def whole(h: Tensor{parameters}, scale: float{angles}) -> Tensor:
                q, k, v = {qkv}
                attended = torch.scaled_dot_product_attention({floats}, None, 0.0, True, scale=scale, enable_gqa={Grouped})
                return {rest}

            """;
        return $"""
            {Int8Product}
            {Embed}
            {Logits}
            {Rotate}
            def qkv(h: Tensor{parameters}{angles}) -> Tuple[Tensor, Tensor, Tensor]:
                x = {(c.NormsBefore ? Norm("h", "AttentionNorm") : "h")}.to({TypeOf("Qkv")})
                all = {Product("x", "Qkv", c.QkvBias)}
            {Heads}
            def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
            {Attend}
            def rest(h: Tensor, attended: Tensor{parameters}) -> Tensor:
            {Rest}
            {whole}
            def masked(h: Tensor{parameters}, scale: float, mask: Tensor{angles}) -> Tensor:
                q, k, v = {qkv}
                attended = attend({floats}, mask, scale)
                return {rest}

            def cached(h: Tensor{parameters}, scale: float, mask: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor, first: int, reach: int{angles}) -> Tensor:
                q, k, v = {qkv}
                keys.index_put_([slots, positions], k)
                values.index_put_([slots, positions], v)
                all_k = keys.narrow(0, first, h.size(0)).narrow(1, 0, reach)
                all_v = values.narrow(0, first, h.size(0)).narrow(1, 0, reach)
                attended = attend(q.transpose(1, 2), all_k.transpose(1, 2), all_v.transpose(1, 2), mask, scale)
                return {rest}

            """;
    }

    private string Grouped => _config.KvHeads == _config.Heads ? "False" : "True";

    private string Embed
    {
        get
        {
            var rows = "torch.embedding(embedding, ids).float()" + (_int8 ? " * torch.embedding(scale.unsqueeze(1), ids).float()" : "");
            var scaled = rows + (_config.EmbeddingScale == 1 ? "" : $" * {Literal(_config.EmbeddingScale)}");
            var scale = _int8 ? ", scale: Tensor" : "";
            return _config.LearnedPositions
                ? $"""
                def embed(ids: Tensor, embedding: Tensor{scale}, positions: Tensor, learned: Tensor) -> Tensor:
                    return {scaled} + torch.embedding(learned, positions).float()

                """
                : $"""
                def embed(ids: Tensor, embedding: Tensor{scale}) -> Tensor:
                    return {scaled}

                """;
        }
    }

    private string Logits
    {
        get
        {
            var bias = _config.Norm == NormKind.Layer ? ", FinalNormBias: Tensor" : "";
            var scores = $"{Product($"{Norm("h", "FinalNorm")}.to({TypeOf("head")})", "head", bias: false)}.float()";
            return $"""
                def logits(h: Tensor, FinalNorm: Tensor{bias}, head: Tensor{(_int8 ? ", headScale: Tensor" : "")}) -> Tensor:
                    return {(_config.LogitSoftcap is { } cap ? Capped(scores, cap) : scores)}

                """;
        }
    }

    private string Rotate
    {
        get
        {
            if (!_rotates)
            {
                return "";
            }

            const string Turned = "x * cos + torch.cat([-high, low], -1) * sin";
            return _config.RotatedWidth == _config.HeadWidth
                ? $"""
                def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
                    low, high = torch.chunk(x, 2, -1)
                    return {Turned}

                """
                : $"""
                def rotate(all: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
                    x, kept = torch.split_with_sizes(all, [{_config.RotatedWidth}, {_config.HeadWidth - _config.RotatedWidth}], -1)
                    low, high = torch.chunk(x, 2, -1)
                    return torch.cat([{Turned}, kept], -1)

                """;
        }
    }

    /// <summary>From the product of all three to queries, keys and values, [batch, seq, heads, head] each.</summary>
    private string Heads
    {
        get
        {
            var c = _config;
            var lines = new List<string>();
            if (c.QueryKeyNorm == QueryKeyNorm.Whole)
            {
                var (queries, keys) = (c.Heads * c.HeadWidth, c.KvHeads * c.HeadWidth);
                lines.Add($"q, k, v = torch.split_with_sizes(all, [{queries}, {keys}, {keys}], -1)");
                lines.Add($"q = torch.rms_norm(q.float(), [{queries}], QueryNorm, {_epsilon}).to(all.dtype).view(h.size(0), h.size(1), {c.Heads}, {c.HeadWidth})");
                lines.Add($"k = torch.rms_norm(k.float(), [{keys}], KeyNorm, {_epsilon}).to(all.dtype).view(h.size(0), h.size(1), {c.KvHeads}, {c.HeadWidth})");
                lines.Add($"v = v.reshape(h.size(0), h.size(1), {c.KvHeads}, {c.HeadWidth})");
            }
            else
            {
                lines.Add($"all = all.view(h.size(0), h.size(1), {c.Heads + (2 * c.KvHeads)}, {c.HeadWidth})");
                lines.Add($"q, k, v = torch.split_with_sizes(all, [{c.Heads}, {c.KvHeads}, {c.KvHeads}], 2)");
                if (c.QueryKeyNorm == QueryKeyNorm.Head)
                {
                    lines.Add($"q = torch.rms_norm(q.float(), [{c.HeadWidth}], QueryNorm, {_epsilon}).to(all.dtype)");
                    lines.Add($"k = torch.rms_norm(k.float(), [{c.HeadWidth}], KeyNorm, {_epsilon}).to(all.dtype)");
                }
            }

            if (_rotates)
            {
                lines.Add("cos = cos.to(all.dtype)");
                lines.Add("sin = sin.to(all.dtype)");
                lines.Add("return rotate(q, cos, sin), rotate(k, cos, sin), v");
            }
            else
            {
                lines.Add("return q, k, v");
            }

            return Indented(lines);
        }
    }

    /// <summary>Attention of q [batch, heads, seq, head] to k and v [batch, kv_heads, reach, head] where the mask [.., 1, seq, reach] is true.</summary>
    private string Attend
    {
        get
        {
            var c = _config;
            if (c.AttentionSoftcap is not { } cap)
            {
                var all = $"return torch.scaled_dot_product_attention(q, k, v, mask, 0.0, False, scale=scale, enable_gqa={Grouped})";
                return c.KvHeads == c.Heads ? Indented([all]) : Indented(
                [
                    // One token's queries of a group see the same keys: as rows of one head they need no copies of them.
                    "if q.size(2) == 1:",
                    $"    rows = q.reshape(q.size(0), {c.KvHeads}, {c.Heads / c.KvHeads}, {c.HeadWidth})",
                    "    one = torch.scaled_dot_product_attention(rows, k, v, mask, 0.0, False, scale=scale)",
                    $"    return one.reshape(q.size(0), {c.Heads}, 1, {c.HeadWidth})",
                    all,
                ]);
            }

            var groups = c.Heads / c.KvHeads;
            return Indented(
            [
                $"grouped = q.reshape(q.size(0), {c.KvHeads}, {groups}, q.size(2), {c.HeadWidth})",
                "scores = torch.matmul(grouped, k.unsqueeze(2).transpose(-1, -2)).float() * scale",
                $"scores = {Capped("scores", cap)}",
                "scores = scores.masked_fill(torch.logical_not(mask).unsqueeze(2), float('-inf'))",
                $"return torch.matmul(torch.softmax(scores, -1), v.unsqueeze(2).float()).reshape(q.size(0), {c.Heads}, q.size(2), {c.HeadWidth})",
            ]);
        }
    }

    /// <summary>From what attention gave to the block's output.</summary>
    private string Rest
    {
        get
        {
            var c = _config;
            var lines = new List<string>
            {
                $"joined = attended.transpose(1, 2).reshape(h.size(0), h.size(1), {c.Heads * c.HeadWidth}).to({TypeOf("AttentionOutput")})",
                $"a = {Product("joined", "AttentionOutput", c.AttentionOutputBias)}.to(h.dtype)",
            };
            if (c.NormsAfter)
            {
                lines.Add($"a = {Norm("a", "AttentionOutputNorm")}");
            }

            if (!c.ParallelResidual)
            {
                lines.Add("h = h + a");
            }

            lines.Add($"x = {(c.NormsBefore ? Norm("h", "MlpNorm") : "h")}.to({TypeOf("GateUp")})");
            var up = Product("x", "GateUp", c.MlpBias);
            if (c.GatedMlp)
            {
                lines.Add($"gate, up = torch.chunk({up}, 2, -1)");
                lines.Add($"inner = {Activated("gate")} * up");
            }
            else
            {
                lines.Add($"up = {up}");
                lines.Add($"inner = {Activated("up")}");
            }

            lines.Add($"m = {Product("inner", "Down", c.MlpBias)}.to(h.dtype)");
            if (c.NormsAfter)
            {
                lines.Add($"m = {Norm("m", "MlpOutputNorm")}");
            }

            lines.Add(c.ParallelResidual ? "return h + a + m" : "return h + m");
            return Indented(lines);
        }
    }

    private string Norm(string x, string weight) => _config.Norm == NormKind.Rms
        ? $"torch.rms_norm({x}, [{_config.Width}], {weight}, {_epsilon})"
        : $"torch.layer_norm({x}, [{_config.Width}], {weight}, {weight}Bias, {_epsilon})";

    private string Activated(string x) => _config.Activation switch
    {
        Activation.Silu => $"torch.silu({x})",
        Activation.Gelu => $"torch.gelu({x})",
        Activation.GeluTanh => $"torch.gelu({x}, approximate='tanh')",
        Activation.QuickGelu => $"({x} * torch.sigmoid(1.702 * {x}))",
        Activation.Relu => $"torch.relu({x})",
        Activation.ReluSquared => $"torch.square(torch.relu({x}))",
        _ => throw new InvalidOperationException($"no script for {_config.Activation}"),
    };

    private string Product(string x, string weight, bool bias) => (_int8, bias) switch
    {
        (false, false) => $"torch.linear({x}, {weight})",
        (false, true) => $"torch.linear({x}, {weight}, {weight}Bias)",
        (true, false) => $"product({x}, {weight}, {weight}Scale)",
        (true, true) => $"(product({x}, {weight}, {weight}Scale) + {weight}Bias)",
    };

    /// <summary>The type of the inputs and outputs of products with a weight.</summary>
    private string TypeOf(string weight) => $"{weight}{(_int8 ? "Scale" : "")}.dtype";

    /// <summary>
    /// x·qᵀ·s. For few rows the weights are read as they are; for more they are turned to x's type, which holds −127 to 127 exactly, and the
    /// product is a plain one. The kernel for few rows reads columns by the 32.
    /// </summary>
    private string Int8Product => !_int8 ? "" : $"""
        def product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
            rows = x.reshape(-1, x.size(-1))
            if rows.size(0) <= {FewRows} and weight.size(1) % 32 == 0:
                y = torch._weight_int8pack_mm(rows, weight, scale)
            else:
                y = torch.linear(rows, weight.to(x.dtype)) * scale
            sizes = x.size()
            return y.view(sizes[:-1] + [weight.size(0)])

        """;

    private static string Capped(string x, double cap) => $"torch.tanh({x} / {Literal(cap)}) * {Literal(cap)}";

    private static string Indented(IEnumerable<string> lines) => string.Concat(lines.Select(line => $"    {line}\n"));

    /// <summary>A number as TorchScript reads floats: with a point or an exponent.</summary>
    private static string Literal(double number)
    {
        var text = number.ToString("R", CultureInfo.InvariantCulture);
        return text.Contains('.', StringComparison.Ordinal) ? text
            : text.Contains('E', StringComparison.Ordinal) ? text.Replace("E", ".0e", StringComparison.Ordinal)
            : text + ".0";
    }
}

using System.Globalization;
using TorchSharp;

namespace LrtMesh.Core.Models;

/// <summary>
/// The decoder's parts as TorchScript functions: one call a block instead of some forty wrapped ones, which is what small
/// batches spend their time on. The source is fixed but for the numbers of the configuration, since a TorchScript compile
/// error ends the process.
/// </summary>
internal static class DecoderScript
{
    /// <summary>Compiles the parts for a configuration.</summary>
    public static torch.jit.CompilationUnit Compile(ModelConfig config) => torch.jit.compile(Source(config));

    private static string Source(ModelConfig c)
    {
        var epsilon = c.NormEpsilon.ToString("R", CultureInfo.InvariantCulture);
        epsilon = epsilon.Contains('.', StringComparison.Ordinal) ? epsilon : epsilon.Replace("E", ".0e", StringComparison.Ordinal);
        var queries = c.Heads * c.HeadWidth;
        var grouped = c.KvHeads == c.Heads ? "False" : "True";

        // h is the residual stream [batch, seq, width], float32 whatever the weights' type: products are computed in the
        // weights' type and added to it. Attention without a cache runs in float32: on a CPU its backward in bfloat16 takes twice as
        // long. cos and sin are [batch or 1, seq, 1, head].
        return $"""
            def embed(ids: Tensor, embedding: Tensor) -> Tensor:
                return torch.embedding(embedding, ids)

            def logits(h: Tensor, norm: Tensor, head: Tensor) -> Tensor:
                return torch.linear(torch.rms_norm(h, [{c.Width}], norm, {epsilon}).to(head.dtype), head)

            def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
                low, high = torch.chunk(x, 2, -1)
                return x * cos + torch.cat([-high, low], -1) * sin

            def qkv(h: Tensor, norm: Tensor, w_qkv: Tensor, cos: Tensor, sin: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
                x = torch.rms_norm(h, [{c.Width}], norm, {epsilon}).to(w_qkv.dtype)
                all = torch.linear(x, w_qkv).view(h.size(0), h.size(1), {c.Heads + (2 * c.KvHeads)}, {c.HeadWidth})
                q, k, v = torch.split_with_sizes(all, [{c.Heads}, {c.KvHeads}, {c.KvHeads}], 2)
                cos = cos.to(all.dtype)
                sin = sin.to(all.dtype)
                return rotate(q, cos, sin), rotate(k, cos, sin), v

            def rest(h: Tensor, attended: Tensor, w_out: Tensor, norm: Tensor, w_gate_up: Tensor, w_down: Tensor) -> Tensor:
                h = h + torch.linear(attended.transpose(1, 2).reshape(h.size(0), h.size(1), {queries}).to(w_out.dtype), w_out).to(h.dtype)
                x = torch.rms_norm(h, [{c.Width}], norm, {epsilon}).to(w_gate_up.dtype)
                gate, up = torch.chunk(torch.linear(x, w_gate_up), 2, -1)
                return h + torch.linear(torch.silu(gate) * up, w_down).to(h.dtype)

            def whole(h: Tensor, norm1: Tensor, w_qkv: Tensor, w_out: Tensor, norm2: Tensor, w_gate_up: Tensor, w_down: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
                q, k, v = qkv(h, norm1, w_qkv, cos, sin)
                attended = torch.scaled_dot_product_attention(q.transpose(1, 2).float(), k.transpose(1, 2).float(), v.transpose(1, 2).float(), None, 0.0, True, scale=None, enable_gqa={grouped})
                return rest(h, attended, w_out, norm2, w_gate_up, w_down)

            def cached(h: Tensor, norm1: Tensor, w_qkv: Tensor, w_out: Tensor, norm2: Tensor, w_gate_up: Tensor, w_down: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor, slots: Tensor, positions: Tensor, first: int, reach: int, mask: Tensor) -> Tensor:
                q, k, v = qkv(h, norm1, w_qkv, cos, sin)
                keys.index_put_([slots, positions], k)
                values.index_put_([slots, positions], v)
                all_k = keys.narrow(0, first, h.size(0)).narrow(1, 0, reach)
                all_v = values.narrow(0, first, h.size(0)).narrow(1, 0, reach)
                attended = torch.scaled_dot_product_attention(q.transpose(1, 2), all_k.transpose(1, 2), all_v.transpose(1, 2), mask, 0.0, False, scale=None, enable_gqa={grouped})
                return rest(h, attended, w_out, norm2, w_gate_up, w_down)

            """.Replace("\r\n", "\n", StringComparison.Ordinal);
    }
}

using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>A decoder's weights. Products that share their input are stored as one matrix.</summary>
/// <param name="Embedding">[vocabulary, width].</param>
/// <param name="Blocks">One entry a block.</param>
/// <param name="FinalNorm">[width].</param>
/// <param name="Head">[vocabulary, width]; the embedding itself where it is tied.</param>
public sealed record DecoderWeights(Tensor Embedding, IReadOnlyList<BlockWeights> Blocks, Tensor FinalNorm, Tensor Head) : IDisposable
{
    /// <summary>Every tensor, a tied head once.</summary>
    public IEnumerable<Tensor> All =>
        new[] { Embedding, FinalNorm }.Concat(ReferenceEquals(Head, Embedding) ? [] : [Head]).Concat(Blocks.SelectMany(b => b.All));

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in All)
        {
            tensor.Dispose();
        }
    }
}

/// <summary>The weights of one block.</summary>
/// <param name="AttentionNorm">[width].</param>
/// <param name="Qkv">[(heads + 2·kv_heads)·head, width]: queries, keys, values.</param>
/// <param name="AttentionOutput">[width, heads·head].</param>
/// <param name="MlpNorm">[width].</param>
/// <param name="GateUp">[2·mlp, width]: gate, up.</param>
/// <param name="Down">[width, mlp].</param>
public sealed record BlockWeights(Tensor AttentionNorm, Tensor Qkv, Tensor AttentionOutput, Tensor MlpNorm, Tensor GateUp, Tensor Down)
{
    /// <summary>Every tensor.</summary>
    public IEnumerable<Tensor> All => [AttentionNorm, Qkv, AttentionOutput, MlpNorm, GateUp, Down];
}

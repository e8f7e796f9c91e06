using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>A decoder's weights. Products that share their input are stored as one matrix. What a family does not have is null.</summary>
/// <param name="Embedding">[vocabulary, width].</param>
/// <param name="Blocks">One entry a block.</param>
/// <param name="FinalNorm">[width].</param>
/// <param name="Head">[vocabulary, width]; the embedding itself where it is tied.</param>
/// <param name="FinalNormBias">[width].</param>
/// <param name="Positions">[context, width], where positions are learned.</param>
/// <param name="EmbeddingScale">[vocabulary], where the embedding is int8: an entry's row is multiplied by it.</param>
/// <param name="HeadScale">[vocabulary], where the head is int8; the embedding's where it is tied.</param>
public sealed record DecoderWeights(
    Tensor Embedding, IReadOnlyList<BlockWeights> Blocks, Tensor FinalNorm, Tensor Head, Tensor? FinalNormBias = null, Tensor? Positions = null,
    Tensor? EmbeddingScale = null, Tensor? HeadScale = null)
    : IDisposable
{
    /// <summary>Every tensor, a tied head once.</summary>
    public IEnumerable<Tensor> All =>
        new[]
        {
            Embedding, FinalNorm, ReferenceEquals(Head, Embedding) ? null : Head, FinalNormBias, Positions,
            EmbeddingScale, ReferenceEquals(HeadScale, EmbeddingScale) ? null : HeadScale,
        }.OfType<Tensor>().Concat(Blocks.SelectMany(b => b.All));

    /// <summary>Number of parameters; scales of int8 weights are none.</summary>
    public long Parameters => All.Sum(tensor => tensor.numel())
        - new[] { EmbeddingScale, ReferenceEquals(HeadScale, EmbeddingScale) ? null : HeadScale }.Concat(Blocks.SelectMany(block => block.Scales)).Sum(scale => scale?.numel() ?? 0);

    /// <summary>The type of products' inputs and outputs, and of the KV cache.</summary>
    public ScalarType Activations => DtypeChoice.ActivationsOf(Head.dtype);

    /// <summary>Where they are.</summary>
    public Device Device => Embedding.device;

    /// <summary>
    /// Moves weights from the CPU to a device, one after the other, and gives back what they took where they were; these are then no longer used. Where the
    /// device has no room for all, none are left there.
    /// </summary>
    public DecoderWeights To(Device device)
    {
        if (device.type == Device.type)
        {
            return this;
        }

        var moved = new Dictionary<Tensor, Tensor>(ReferenceEqualityComparer.Instance); // a tied head moves with the embedding
        Tensor? Move(Tensor? tensor) => tensor is null ? null : moved.TryGetValue(tensor, out var there) ? there
            : moved[tensor] = tensor.to(device, disposeAfter: true).DetachFromDisposeScope();

        try
        {
            return new(
                Move(Embedding)!, [.. Blocks.Select(block => block.Each(Move))], Move(FinalNorm)!, Move(Head)!, Move(FinalNormBias), Move(Positions),
                Move(EmbeddingScale), Move(HeadScale));
        }
        catch
        {
            foreach (var tensor in moved.Values)
            {
                tensor.Dispose();
            }

            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var tensor in All)
        {
            tensor.Dispose();
        }
    }
}

/// <summary>The weights of one block. What a family does not have is null.</summary>
/// <param name="AttentionNorm">[width].</param>
/// <param name="Qkv">[(heads + 2·kv_heads)·head, width]: queries, keys, values.</param>
/// <param name="AttentionOutput">[width, heads·head].</param>
/// <param name="MlpNorm">[width].</param>
/// <param name="GateUp">[2·mlp, width]: gate, up; [mlp, width] where the MLP has no gate.</param>
/// <param name="Down">[width, mlp].</param>
/// <param name="AttentionNormBias">[width].</param>
/// <param name="QkvBias">[(heads + 2·kv_heads)·head].</param>
/// <param name="QueryNorm">[head] or [heads·head].</param>
/// <param name="KeyNorm">[head] or [kv_heads·head].</param>
/// <param name="AttentionOutputBias">[width].</param>
/// <param name="AttentionOutputNorm">[width].</param>
/// <param name="MlpNormBias">[width].</param>
/// <param name="GateUpBias">[2·mlp] or [mlp].</param>
/// <param name="DownBias">[width].</param>
/// <param name="MlpOutputNorm">[width].</param>
/// <param name="QkvScale">Where <paramref name="Qkv"/> is int8: what each of its outputs is multiplied by.</param>
/// <param name="AttentionOutputScale">Likewise.</param>
/// <param name="GateUpScale">Likewise.</param>
/// <param name="DownScale">Likewise.</param>
public sealed record BlockWeights(
    Tensor? AttentionNorm,
    Tensor Qkv,
    Tensor AttentionOutput,
    Tensor? MlpNorm,
    Tensor GateUp,
    Tensor Down,
    Tensor? AttentionNormBias = null,
    Tensor? QkvBias = null,
    Tensor? QueryNorm = null,
    Tensor? KeyNorm = null,
    Tensor? AttentionOutputBias = null,
    Tensor? AttentionOutputNorm = null,
    Tensor? MlpNormBias = null,
    Tensor? GateUpBias = null,
    Tensor? DownBias = null,
    Tensor? MlpOutputNorm = null,
    Tensor? QkvScale = null,
    Tensor? AttentionOutputScale = null,
    Tensor? GateUpScale = null,
    Tensor? DownScale = null)
{
    /// <summary>Every tensor.</summary>
    public IEnumerable<Tensor> All => Parts.Select(part => part.Tensor);

    /// <summary>What int8 outputs are multiplied by; null where weights are not int8.</summary>
    public IEnumerable<Tensor?> Scales => [QkvScale, AttentionOutputScale, GateUpScale, DownScale];

    /// <summary>A block of what is made of each tensor.</summary>
    internal BlockWeights Each(Func<Tensor?, Tensor?> of) => new(
        of(AttentionNorm), of(Qkv)!, of(AttentionOutput)!, of(MlpNorm), of(GateUp)!, of(Down)!, of(AttentionNormBias), of(QkvBias), of(QueryNorm), of(KeyNorm),
        of(AttentionOutputBias), of(AttentionOutputNorm), of(MlpNormBias), of(GateUpBias), of(DownBias), of(MlpOutputNorm),
        of(QkvScale), of(AttentionOutputScale), of(GateUpScale), of(DownScale));

    /// <summary>Every tensor with its name here, in the order in which the block's script takes them.</summary>
    internal IEnumerable<(string Name, Tensor Tensor)> Parts
    {
        get
        {
            (string Name, Tensor? Tensor)[] all =
            [
                (nameof(AttentionNorm), AttentionNorm), (nameof(AttentionNormBias), AttentionNormBias),
                (nameof(Qkv), Qkv), (nameof(QkvScale), QkvScale), (nameof(QkvBias), QkvBias), (nameof(QueryNorm), QueryNorm), (nameof(KeyNorm), KeyNorm),
                (nameof(AttentionOutput), AttentionOutput), (nameof(AttentionOutputScale), AttentionOutputScale),
                (nameof(AttentionOutputBias), AttentionOutputBias),
                (nameof(AttentionOutputNorm), AttentionOutputNorm),
                (nameof(MlpNorm), MlpNorm), (nameof(MlpNormBias), MlpNormBias),
                (nameof(GateUp), GateUp), (nameof(GateUpScale), GateUpScale), (nameof(GateUpBias), GateUpBias),
                (nameof(Down), Down), (nameof(DownScale), DownScale), (nameof(DownBias), DownBias), (nameof(MlpOutputNorm), MlpOutputNorm),
            ];
            return all.Where(part => part.Tensor is not null).Select(part => (part.Name, part.Tensor!));
        }
    }
}

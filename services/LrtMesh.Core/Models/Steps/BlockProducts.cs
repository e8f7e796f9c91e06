namespace LrtMesh.Core.Models.Steps;

/// <summary>A block's weights as a step reads them: products over torch's memory, the small vectors copied as float32. What a family does not have is null.</summary>
internal sealed class BlockProducts(BlockWeights weights)
{
    public RowProduct Qkv { get; } = new(weights.Qkv, weights.QkvScale, weights.QkvBias);

    public RowProduct AttentionOutput { get; } = new(weights.AttentionOutput, weights.AttentionOutputScale, weights.AttentionOutputBias);

    public RowProduct GateUp { get; } = new(weights.GateUp, weights.GateUpScale, weights.GateUpBias);

    public RowProduct Down { get; } = new(weights.Down, weights.DownScale, weights.DownBias);

    public RowNorm? AttentionNorm { get; } = RowNorm.Of(weights.AttentionNorm, weights.AttentionNormBias);

    public RowNorm? AttentionOutputNorm { get; } = RowNorm.Of(weights.AttentionOutputNorm);

    public RowNorm? MlpNorm { get; } = RowNorm.Of(weights.MlpNorm, weights.MlpNormBias);

    public RowNorm? MlpOutputNorm { get; } = RowNorm.Of(weights.MlpOutputNorm);

    public RowNorm? QueryNorm { get; } = RowNorm.Of(weights.QueryNorm);

    public RowNorm? KeyNorm { get; } = RowNorm.Of(weights.KeyNorm);
}

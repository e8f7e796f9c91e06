namespace LrtMesh.Cli.Evaluation;

/// <summary>Layers by their relative depth.</summary>
internal static class Depth
{
    /// <summary>The layer of another model at the same relative depth; the last layer's is the last.</summary>
    public static uint Same(uint layer, uint layers, uint otherLayers) =>
        layers == 1 ? otherLayers - 1 : (uint)Math.Round((double)layer * (otherLayers - 1) / (layers - 1), MidpointRounding.AwayFromZero);

    /// <summary>A few layers of the steered model among which dev prompts decide.</summary>
    /// <param name="depths">0 is the first layer, 1 the last.</param>
    public static uint[] CandidateLayers(uint layers, IReadOnlyList<double> depths) =>
        [.. depths.Select(depth => (uint)Math.Round(depth * (layers - 1), MidpointRounding.AwayFromZero)).Distinct()];
}

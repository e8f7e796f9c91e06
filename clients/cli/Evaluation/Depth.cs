namespace LrtMesh.Cli.Evaluation;

/// <summary>Layers by their relative depth.</summary>
internal static class Depth
{
    // Of the large model's depth: early and late. Chosen on dev prompts of the family that ships.
    private static readonly double[] Candidates = [0.2, 1.0];

    /// <summary>The layer of another model at the same relative depth; the last layer's is the last.</summary>
    public static uint Same(uint layer, uint layers, uint otherLayers) =>
        layers == 1 ? otherLayers - 1 : (uint)Math.Round((double)layer * (otherLayers - 1) / (layers - 1), MidpointRounding.AwayFromZero);

    /// <summary>A few layers of the steered model among which dev prompts decide.</summary>
    public static uint[] CandidateLayers(uint layers) =>
        [.. Candidates.Select(depth => (uint)Math.Round(depth * (layers - 1), MidpointRounding.AwayFromZero)).Distinct()];
}

namespace LrtMesh.Cli.Evaluation;

/// <summary>One thing about steering by a mapped vector varied, all else as in the headline.</summary>
/// <param name="Name">For files and programs.</param>
/// <param name="Question">What is asked.</param>
/// <param name="Points">What came out, in order.</param>
internal sealed record EffectSweep(string Name, string Question, IReadOnlyList<SweepPoint> Points)
{
    /// <summary>Spearman's correlation over the points of the map's R² and the effect: does a better map steer better? Null for fewer than 3 maps.</summary>
    public double? MapAgainstEffect
    {
        get
        {
            SweepPoint[] mapped = [.. Points.Where(point => point.MapR2 is not null && point.OfHeadline is not null)];
            return mapped.Length < 3 ? null : Correlation.Spearman([.. mapped.Select(point => point.MapR2!.Value)], [.. mapped.Select(point => point.OfHeadline!.Value)]);
        }
    }
}

/// <summary>A setting of a sweep.</summary>
/// <param name="Setting">In words.</param>
/// <param name="X">Where it lies on a scale; null where it has none.</param>
/// <param name="Layers">Source and target layer, where these are what varies.</param>
/// <param name="MapR2">Held-out R² of the map; the mean where there are several.</param>
/// <param name="Share">R of rates: the mapped vector's effect as a share of the native one's under the same setting.</param>
/// <param name="Propensity">The same of propensities.</param>
/// <param name="Native">The native vector's effect on rates under the setting, as a share of its effect in the headline.</param>
/// <param name="OfHeadline">The mapped vector's effect on rates, as a share of the native one's in the headline.</param>
/// <param name="Behaviours">Over how many behaviours.</param>
internal sealed record SweepPoint(
    string Setting, double? X, (uint Source, uint Target)? Layers, double? MapR2, Estimate? Share, Estimate? Propensity, Estimate? Native, Estimate? OfHeadline, int Behaviours);

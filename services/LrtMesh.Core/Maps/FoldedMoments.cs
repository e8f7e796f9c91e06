namespace LrtMesh.Core.Maps;

/// <summary>The moments of one pair, fold by fold: what every solver takes.</summary>
/// <param name="Folds">The folds of the fit, about one origin.</param>
/// <param name="HeldOut">The fold that no fit and no choice sees.</param>
/// <param name="SampleX">Source rows of a bounded sample of the held-out fold, [rows, ds].</param>
/// <param name="SampleY">Target rows of the same, [rows, dt].</param>
/// <param name="Control">Rows paired with those of other documents; null where they were not gathered.</param>
public sealed record FoldedMoments(
    IReadOnlyList<PairMoments> Folds, PairMoments HeldOut, float[] SampleX, float[] SampleY, CrossMoments? Control = null)
{
    /// <summary>ds.</summary>
    public int SourceWidth => HeldOut.SourceWidth;

    /// <summary>dt.</summary>
    public int TargetWidth => HeldOut.TargetWidth;

    /// <summary>Source and target exchanged: any solver then gives the map back.</summary>
    public FoldedMoments Transposed() => new(
        [.. Folds.Select(fold => fold.Transposed())], HeldOut.Transposed(), SampleY, SampleX, Control?.Transposed());

    /// <summary>The sum of the folds of the fit.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: too few rows in the fit or none held out.</exception>
    public PairMoments Fit()
    {
        var fit = Folds[0].Clone();
        foreach (var fold in Folds.Skip(1))
        {
            fit.Add(fold);
        }

        if (fit.Rows < 2)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, $"documents: a fit needs at least 2 paired rows outside the held-out fold, not {fit.Rows}");
        }

        if (HeldOut.Rows == 0)
        {
            throw new LrtMeshException(
                ErrorReason.FailedPrecondition, "documents: the held-out fold has no rows to measure the map on; give at least as many documents as folds");
        }

        return fit;
    }
}

using Google.Protobuf.WellKnownTypes;

namespace LrtMesh.Core.Maps;

/// <summary>A fitted map y ≈ A·x + b and how well it does on the fold that the fit and the choice of λ never saw.</summary>
/// <param name="A">[dt, ds], row-major.</param>
/// <param name="B">[dt].</param>
/// <param name="Lambda">The penalty used, relative to the mean variance of the source's dimensions.</param>
/// <param name="R2">Share of the target's variance about its held-out mean that is explained there; 0 where it has none.</param>
/// <param name="Cosine">Mean cosine between mapped and native states about the target's mean, over the held-out sample.</param>
/// <param name="Rows">Rows in the fit.</param>
/// <param name="HeldOutRows">Rows held out.</param>
/// <param name="Rank">Directions of the source that carry anything: its width, unless rows are few or dimensions depend on each other.</param>
/// <param name="ConstantDimensions">Dimensions of the source that never vary in the fit; the map ignores them.</param>
/// <param name="SolveTime">Time from the moments to this, the choice of λ included.</param>
public sealed record RidgeFit(
    double[] A,
    double[] B,
    double Lambda,
    double R2,
    double Cosine,
    long Rows,
    long HeldOutRows,
    int Rank,
    int ConstantDimensions,
    TimeSpan SolveTime)
{
    /// <summary>The map as it is stored, in float32, with metrics filled in except the time of the whole job.</summary>
    /// <param name="info">Name, ends and where it came from.</param>
    public AffineMap ToAffineMap(V1.AffineMap info)
    {
        var described = info.Clone();
        described.Metrics = new V1.MapMetrics
        {
            Rows = (ulong)Rows,
            HeldOutRows = (ulong)HeldOutRows,
            R2 = R2,
            Cosine = Cosine,
            Lambda = Lambda,
            SolveTime = Duration.FromTimeSpan(SolveTime),
        };
        return AffineMap.Create(described, [.. A.Select(a => (float)a)], [.. B.Select(b => (float)b)]);
    }
}

/// <summary>How well a λ did in cross-validation.</summary>
/// <param name="Lambda">The penalty, relative to the mean variance of the source's dimensions.</param>
/// <param name="Error">Sum over the fit's folds of squared residuals on the fold left out, divided by the rows.</param>
public sealed record LambdaScore(double Lambda, double Error);

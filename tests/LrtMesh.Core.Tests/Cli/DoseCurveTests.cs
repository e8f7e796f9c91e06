using LrtMesh.Cli.Evaluation;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class DoseCurveTests
{
    // Two items: 1 + 2·dose, and 5 − dose.
    private static readonly double[] Doses = [-1, 0, 1, 2];
    private static readonly DoseCurve Curve = new(Doses, [.. Doses.Select(dose => new[] { 1 + (2 * dose), 5 - dose })]);

    [Fact]
    public void Shifts_are_against_dose_0_and_slopes_of_each_item()
    {
        Assert.Equal([2.0, -1.0], Curve.Shifts(1));
        Assert.Equal([0.0, 0.0], Curve.Shifts(0));
        Assert.Equal([2.0, -1.0], Curve.Slopes().Select(slope => Math.Round(slope, 12)));
    }

    [Theory]
    [InlineData(0.25, 0.5)]
    [InlineData(0.5, 1.0)]
    [InlineData(0.75, 1.5)]
    [InlineData(1.01, null)] // Stronger than any dose.
    [InlineData(0.0, null)] // No effect, no dose of it.
    [InlineData(-0.5, null)]
    public void The_dose_of_a_shift_is_read_between_doses(double shift, double? dose) => Assert.Equal(dose, Curve.DoseOf(shift));

    [Fact]
    public void Correlations_are_those_of_the_textbook()
    {
        Assert.Equal(0.8, Correlation.Pearson([1, 2, 3, 4], [2, 1, 4, 3])!.Value + 0.2, 12);
        Assert.Null(Correlation.Pearson([1, 1], [1, 2]));
        // A monotone curve has rank correlation 1, and ties share a rank.
        Assert.Equal(1, Correlation.Spearman([1, 2, 3, 4], [1, 8, 27, 64])!.Value, 12);
        Assert.Equal(1, Correlation.Spearman([1, 2, 2, 4], [10, 20, 20, 30])!.Value, 12);
        Assert.Equal(2.5, Correlation.MeanSquaredError([1, 2], [3, 3]), 12);
        Assert.Equal(-3, Correlation.Slope([0, 1, 2], [7, 4, 1]), 12);
    }

    [Fact]
    public void An_interval_of_groups_is_as_wide_as_they_differ()
    {
        double[][] alike = [.. Enumerable.Range(0, 20).Select(_ => new[] { 0.9, 1.1 })];
        double[][] apart = [.. Enumerable.Range(0, 20).Select(group => new[] { group % 2 == 0 ? 0.1 : 1.9 })];
        var narrow = Bootstrap.MeanOfGroups(alike, 1)!;
        var wide = Bootstrap.MeanOfGroups(apart, 1)!;
        Assert.Equal((1.0, 1.0), (Math.Round(narrow.Value, 9), Math.Round(wide.Value, 9)));
        Assert.InRange(narrow.High - narrow.Low, 0.02, 0.2);
        Assert.InRange(wide.High - wide.Low, 0.5, 1.2); // 2 · 1.96 · 0.9 / √20 = 0.79
        Assert.Null(Bootstrap.MeanOfGroups([], 1));
    }
}

using CsCheck;
using LrtMesh.Cli.Evaluation;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class DoseResponseTests
{
    [Fact]
    public void Half_of_the_largest_is_read_between_the_points() =>
        Assert.Equal(1.5, new DoseResponse([1, 2, 3], [0.2, 0.6, 0.8]).HalfOfLargest()!.Value, 12); // half is 0.4

    [Fact]
    public void Half_may_lie_below_the_first_coefficient() =>
        Assert.Equal(0.5, new DoseResponse([1, 2], [0.8, 0.8]).HalfOfLargest()!.Value, 12);

    [Fact]
    public void What_comes_after_the_largest_effect_does_not_matter() =>
        Assert.Equal(1, new DoseResponse([1, 2, 3], [0.3, 0.6, 0.0]).HalfOfLargest()!.Value, 12);

    [Fact]
    public void A_dip_is_pooled_with_its_neighbour() =>
        // 0.4 then 0.2 become 0.3 twice; half of 0.6 is met at the first of them.
        Assert.Equal(1, new DoseResponse([1, 2, 3], [0.4, 0.2, 0.6]).HalfOfLargest()!.Value, 12);

    [Fact]
    public void A_behaviour_that_nothing_brings_about_has_no_coefficient()
    {
        var curve = new DoseResponse([1, 2], [-0.1, 0]);
        Assert.Null(curve.HalfOfLargest());
        Assert.Equal(0, curve.Largest);
    }

    [Fact]
    public void The_coefficient_lies_above_zero_and_not_beyond_the_grid() =>
        Gen.Double[-1, 1].Array[1, 8].Sample(effects =>
        {
            double[] coefficients = [.. Enumerable.Range(1, effects.Length).Select(i => i * 0.5)];
            var chosen = new DoseResponse(coefficients, effects).HalfOfLargest();
            return effects.Max() <= 0 ? chosen is null : chosen > 0 && chosen <= coefficients[^1];
        });
}

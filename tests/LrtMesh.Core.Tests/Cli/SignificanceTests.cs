using CsCheck;
using LrtMesh.Cli.Evaluation;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class SignificanceTests
{
    [Theory]
    [InlineData(0, 0, 1)]
    [InlineData(1, 0, 0.5)]
    [InlineData(5, 0, 0.03125)]
    [InlineData(8, 2, 56.0 / 1024)] // C(10,8)+C(10,9)+C(10,10)
    [InlineData(0, 3, 1)]
    public void Sign_test_is_the_binomial_tail_of_the_prompts_that_differ(int above, int below, double p)
    {
        double[] none = [.. Enumerable.Repeat(0.0, above), .. Enumerable.Repeat(1.0, below), 0, 1];
        double[] steered = [.. Enumerable.Repeat(1.0, above), .. Enumerable.Repeat(0.0, below), 0, 1];
        Assert.Equal(p, Significance.SignTest(none, steered), 12);
    }

    [Fact]
    public void Sign_test_does_not_underflow()
    {
        double p = Significance.SignTest(new double[4000], [.. Enumerable.Range(0, 4000).Select(i => i < 2000 ? 1.0 : -1.0)]);
        Assert.InRange(p, 0.5, 0.51);
    }

    [Fact]
    public void Holm_is_as_in_the_textbook_example()
    {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") = 0.03 0.06 0.06 0.02
        double[] adjusted = Significance.Holm([0.01, 0.04, 0.03, 0.005]);
        Assert.Equal([0.03, 0.06, 0.06, 0.02], adjusted.Select(p => Math.Round(p, 12)));
    }

    [Fact]
    public void Holm_never_lowers_a_p_and_keeps_their_order() =>
        Gen.Double[0, 1].Array[1, 20].Sample(p =>
        {
            double[] adjusted = Significance.Holm(p);
            var order = Enumerable.Range(0, p.Length).OrderBy(i => p[i]).ToArray();
            return p.Zip(adjusted, (raw, a) => a >= raw && a <= 1).All(ok => ok) && order.Zip(order.Skip(1), (i, j) => adjusted[i] <= adjusted[j]).All(ok => ok);
        });
}

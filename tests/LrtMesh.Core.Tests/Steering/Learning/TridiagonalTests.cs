using LrtMesh.Core.Steering.Learning;
using Xunit;

namespace LrtMesh.Core.Tests.Steering.Learning;

public sealed class TridiagonalTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(9)]
    [InlineData(60)]
    public void The_top_of_a_chain_is_known(int n)
    {
        // 2 on the diagonal and 1 beside it: eigenvalues 2 + 2·cos(kπ / (n + 1)), vectors sin(ikπ / (n + 1)); k = 1 is the top.
        var (value, vector) = Tridiagonal.Largest([.. Enumerable.Repeat(2.0, n)], [.. Enumerable.Repeat(1.0, n - 1)]);
        var angle = Math.PI / (n + 1);
        var length = Math.Sqrt(Enumerable.Range(1, n).Sum(i => Math.Pow(Math.Sin(i * angle), 2)));

        Assert.Equal(2 + (2 * Math.Cos(angle)), value, 1e-12);
        Assert.All(Enumerable.Range(0, n), i => Assert.Equal(Math.Sin((i + 1) * angle) / length, vector[i], 1e-9));
    }

    [Fact]
    public void A_diagonal_that_falls_apart_is_taken_where_it_is_largest()
    {
        var (value, vector) = Tridiagonal.Largest([1, 5, 3], [0, 0]);

        Assert.Equal(5, value, 1e-12);
        Assert.Equal([0, 1, 0], vector.Select(element => Math.Round(Math.Abs(element), 9)));
    }
}

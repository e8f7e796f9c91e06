using CsCheck;
using LrtMesh.Core.Maps;
using Xunit;

namespace LrtMesh.Core.Tests.Maps;

public sealed class WindowMeansTests
{
    [Fact]
    public void A_document_is_cut_into_equal_windows()
    {
        float[] rows = [1, 10, 2, 20, 3, 30, 4, 40, 5, 50]; // [5, 2]
        Assert.Equal([1f, 10, 2.5f, 25, 4.5f, 45], WindowMeans.Of(rows, width: 2, window: 2).ToArray()); // 2.5 windows round to 3, of 1, 2 and 2 tokens
        Assert.Equal([3f, 30], WindowMeans.Of(rows, width: 2, window: 100).ToArray());
        Assert.True(WindowMeans.Of(rows, width: 2, window: 1).Equals(rows)); // the same memory
        Assert.True(WindowMeans.Of(rows, width: 2, window: 0).Equals(rows)); // the same memory
        Assert.Equal(0, WindowMeans.Of(ReadOnlyMemory<float>.Empty, width: 2, window: 8).Length);
    }

    [Fact]
    public void Windows_hold_every_token_once_and_are_about_as_long_as_asked() =>
        Gen.Select(Gen.Int[1, 500], Gen.Int[2, 70]).Sample((tokens, window) =>
        {
            // Row i is (1, i): a window's mean is (1, the middle of its tokens).
            float[] rows = [.. Enumerable.Range(0, tokens).SelectMany(i => new[] { 1f, i })];
            var means = WindowMeans.Of(rows, 2, window).ToArray();
            var windows = means.Length / 2;
            var next = 0;
            for (var i = 0; i < windows; i++)
            {
                Assert.Equal(1, means[2 * i], 1e-5);
                var end = (int)Math.Round((2 * means[(2 * i) + 1]) - next) + 1; // the middle of next … end − 1
                Assert.True(windows == 1 || Math.Abs(end - next - window) <= (window / 2) + 1, $"{end - next} tokens of {window}");
                next = end;
            }

            Assert.Equal(tokens, next);
        });
}

using LrtMesh.Core.Maps;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Maps;

[Collection(MomentsRunAlone.Name)]
public class AdamWRecipeTests
{
    [Theory]
    [InlineData(5, 3, 35 * 512)] // two batches, the second one short
    [InlineData(16, 4, 1000)] // one batch, its second text short
    public void It_takes_the_steps_of_torchs_own_optimizer(int sourceWidth, int targetWidth, int rows)
    {
        const int Seed = 3;
        var random = new Random(1);
        var x = Enumerable.Range(0, rows * sourceWidth).Select(_ => (float)(random.NextDouble() - 0.3)).ToArray();
        var y = Enumerable.Range(0, rows * targetWidth).Select(_ => (float)(random.NextDouble() + 1)).ToArray();
        var before = Tensor.TotalCount;
        var recipe = new AdamWRecipe(x, y, sourceWidth, targetWidth);
        var trained = recipe.Train(0.01, Seed);
        recipe.Dispose();
        Assert.Equal(before, Tensor.TotalCount); // counted here, since torch's own modules keep gradients

        using var scope = NewDisposeScope();
        var (xs, ys) = (tensor(x, rows, sourceWidth), tensor(y, rows, targetWidth));
        random = new Random(Seed);
        var bound = 1 / Math.Sqrt(sourceWidth);
        var first = Enumerable.Range(0, targetWidth * (sourceWidth + 1)).Select(_ => (float)(((2 * random.NextDouble()) - 1) * bound)).ToArray();
        using var linear = nn.Linear(sourceWidth, targetWidth);
        using (no_grad())
        {
            var both = tensor(first, targetWidth, sourceWidth + 1); // a row's weights and then its bias
            linear.weight!.copy_(both.narrow(1, 0, sourceWidth));
            linear.bias!.copy_(both.select(1, sourceWidth));
        }

        using var optimizer = optim.AdamW(linear.parameters(), 0.01);
        var texts = (rows + 511) / 512;
        var order = Enumerable.Range(0, texts).ToArray();
        var steps = 0;
        for (var epoch = 0; epoch < AdamWRecipe.Epochs; epoch++)
        {
            random.Shuffle(order);
            foreach (var batch in order.Chunk(AdamWRecipe.BatchTexts))
            {
                using var step = NewDisposeScope();
                var bx = cat([.. batch.Select(t => xs.narrow(0, t * 512, Math.Min(512, rows - (t * 512))))], 0);
                var by = cat([.. batch.Select(t => ys.narrow(0, t * 512, Math.Min(512, rows - (t * 512))))], 0);
                optimizer.zero_grad();
                nn.functional.mse_loss(linear.call(bx), by).backward();
                optimizer.step();
                steps++;
            }
        }

        Assert.Equal(steps, trained.Steps);
        var weights = linear.weight!.detach().to(ScalarType.Float64);
        Assert.InRange(RowTensors.Difference(weights, RowTensors.Matrix(trained.A, targetWidth)), 0, 1e-3);
        Assert.InRange(RowTensors.Difference(linear.bias!.detach().to(ScalarType.Float64), tensor(trained.B)), 0, 1e-3);
    }

    [Fact]
    public void Products_of_bfloat16_end_near_those_of_float32()
    {
        var random = new Random(2);
        var x = Enumerable.Range(0, 2000 * 8).Select(_ => (float)(random.NextDouble() - 0.5)).ToArray();
        var y = Enumerable.Range(0, 2000 * 4).Select(i => x[(i / 4 * 8) + (i % 4)]).ToArray();
        using var single = new AdamWRecipe(x, y, 8, 4);
        using var half = new AdamWRecipe(x, y, 8, 4, bfloat16: true);
        var (a, b) = (single.Train(0.05, 1), half.Train(0.05, 1));
        Assert.Equal(a.A, b.A, (p, q) => Math.Abs(p - q) < 0.05);
        Assert.NotEqual(a.A, b.A);
        Assert.Throws<ArgumentException>(() => new AdamWRecipe(x, y, 8, 5));
    }
}

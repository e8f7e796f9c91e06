using System.Diagnostics;
using System.Runtime.InteropServices;
using LrtMesh.Core.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// The recipe of the paper that LrtMesh follows (Bello et al. 2025, arXiv 2506.00653): least squares with bias by AdamW over
/// minibatches of rows, for comparison with the closed form. It needs all rows at once.
/// </summary>
/// <remarks>
/// The gradient of a linear layer under the mean squared error is written out, one text at a time, so that errors never leave
/// the cache; the bias is a column of ones. AdamW is Loshchilov and Hutter's (2019, algorithm 2) with PyTorch's defaults: β 0.9
/// and 0.999, ε 10⁻⁸, decay 0.01, also of the bias; weights start uniform within ±1/√ds, as PyTorch's linear layer's do.
/// </remarks>
public sealed class AdamWRecipe : IDisposable
{
    /// <summary>Learning rate for base models.</summary>
    public const double BaseLearningRate = 1e-4;

    /// <summary>Learning rate for instruct models.</summary>
    public const double InstructLearningRate = 1e-3;

    /// <summary>Texts in a minibatch.</summary>
    public const int BatchTexts = 32;

    /// <summary>Tokens, and so rows, in a text.</summary>
    public const int TextTokens = 512;

    /// <summary>Passes over the rows.</summary>
    public const int Epochs = 4;

    private const double Beta1 = 0.9;
    private const double Beta2 = 0.999;
    private const double Epsilon = 1e-8;
    private const double Decay = 0.01;
    private const int Alignment = 16; // columns are padded to whole vectors

    private readonly int _sourceWidth;
    private readonly int _targetWidth;
    private readonly ScalarType _products;
    private readonly List<(Tensor X, Tensor Y)> _texts = []; // [rows, padded ds + 1] and [rows, dt] of each text

    /// <summary>Takes the rows of a fit; memory: 4·(ds + dt) bytes a row and a little padding.</summary>
    /// <param name="x">[rows, ds]; each <see cref="TextTokens"/> are a text, the last may be shorter.</param>
    /// <param name="y">[rows, dt].</param>
    /// <param name="sourceWidth">ds.</param>
    /// <param name="targetWidth">dt.</param>
    /// <param name="bfloat16">True for products of bfloat16 (weights and sums stay float32), false for float32 throughout.</param>
    public AdamWRecipe(ReadOnlySpan<float> x, ReadOnlySpan<float> y, int sourceWidth, int targetWidth, bool bfloat16 = false)
    {
        (_sourceWidth, _targetWidth, _products) = (sourceWidth, targetWidth, bfloat16 ? ScalarType.BFloat16 : ScalarType.Float32);
        var rows = x.Length / sourceWidth;
        if (rows == 0 || x.Length != rows * sourceWidth || y.Length != rows * targetWidth)
        {
            throw new ArgumentException($"{x.Length} and {y.Length} elements are not the same rows of widths {sourceWidth} and {targetWidth}");
        }

        for (var start = 0; start < rows; start += TextTokens)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(TextTokens, rows - start);
            var (padded, target) = (zeros(count, PaddedWidth), empty(count, targetWidth));
            var columns = MemoryMarshal.Cast<byte, float>(padded.bytes);
            for (var row = 0; row < count; row++)
            {
                x.Slice((start + row) * sourceWidth, sourceWidth).CopyTo(columns[(row * PaddedWidth)..]);
                columns[(row * PaddedWidth) + sourceWidth] = 1;
            }

            y.Slice(start * targetWidth, count * targetWidth).CopyTo(MemoryMarshal.Cast<byte, float>(target.bytes));
            _texts.Add((padded.to_type(_products).DetachFromDisposeScope(), target.to_type(_products).DetachFromDisposeScope()));
        }
    }

    private int PaddedWidth => (_sourceWidth + Alignment) / Alignment * Alignment;

    /// <summary>Trains a map.</summary>
    /// <param name="learningRate">Above 0.</param>
    /// <param name="seed">Of the first weights and of the order of texts.</param>
    public AdamWMap Train(double learningRate, int seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(learningRate);
        var watch = Stopwatch.StartNew();
        var random = new Random(seed);
        using var scope = NewDisposeScope();
        using var frozen = no_grad();
        var weights = FirstWeights(random); // [dt, padded]
        var (mean, square) = (zeros_like(weights), zeros_like(weights));
        var gradient = zeros_like(weights);
        var order = Enumerable.Range(0, _texts.Count).ToArray();
        var steps = 0;
        for (var epoch = 0; epoch < Epochs; epoch++)
        {
            random.Shuffle(order);
            foreach (var batch in order.Chunk(BatchTexts))
            {
                using var step = NewDisposeScope();
                Gradient(weights, batch, gradient);
                steps++;
                weights.mul_(Number.Of(1 - (learningRate * Decay)));
                mean.mul_(Number.Of(Beta1)).add_(gradient, Number.Of(1 - Beta1));
                square.mul_(Number.Of(Beta2)).addcmul_(gradient, gradient, Number.Of(1 - Beta2));
                var root = square.sqrt().div_(Number.Of(Math.Sqrt(1 - Math.Pow(Beta2, steps)))).add_(Number.Of(Epsilon), Number.One);
                weights.addcdiv_(mean, root, Number.Of(-learningRate / (1 - Math.Pow(Beta1, steps))));
            }
        }

        var columns = weights.to(ScalarType.Float64);
        return new AdamWMap(
            CentredMoments.Copy(columns.narrow(1, 0, _sourceWidth)),
            CentredMoments.Copy(columns.select(1, _sourceWidth)),
            steps,
            watch.Elapsed);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var (x, y) in _texts)
        {
            x.Dispose();
            y.Dispose();
        }

        _texts.Clear();
    }

    /// <summary>∂/∂W of the mean of (W·x − y)² over rows and dimensions.</summary>
    private void Gradient(Tensor weights, int[] batch, Tensor gradient)
    {
        using var scope = NewDisposeScope();
        var rows = 0L;
        gradient.zero_();
        var transposed = weights.to_type(_products).t(); // [padded, dt]
        foreach (var text in batch)
        {
            var (x, y) = _texts[text];
            using var error = addmm(y, x, transposed, -1, 1); // Wx − y: [rows, dt]
            if (_products == ScalarType.Float32)
            {
                gradient.addmm_(error.t(), x, 1, 1);
            }
            else
            {
                using var product = error.t().matmul(x);
                gradient.add_(product, Number.One);
            }

            rows += x.shape[0];
        }

        gradient.mul_(Number.Of(2.0 / (rows * _targetWidth)));
    }

    private Tensor FirstWeights(Random random)
    {
        var bound = 1 / Math.Sqrt(_sourceWidth);
        var weights = zeros(_targetWidth, PaddedWidth);
        var values = MemoryMarshal.Cast<byte, float>(weights.bytes);
        for (var row = 0; row < _targetWidth; row++)
        {
            for (var i = 0; i <= _sourceWidth; i++)
            {
                values[(row * PaddedWidth) + i] = (float)(((2 * random.NextDouble()) - 1) * bound);
            }
        }

        return weights;
    }
}

/// <summary>A map trained by minibatches.</summary>
/// <param name="A">[dt, ds], row-major.</param>
/// <param name="B">[dt].</param>
/// <param name="Steps">Optimizer steps taken.</param>
/// <param name="Time">Time that they took.</param>
public sealed record AdamWMap(double[] A, double[] B, int Steps, TimeSpan Time);

using CsCheck;
using LrtMesh.Core.Models.Steps;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Models.Steps;

/// <summary>Products of a few rows, against float64, at sizes that fill no register.</summary>
public sealed unsafe class RowKernelsTests
{
    [Fact]
    public void Rows_times_rows()
    {
        RequireAvx512();
        Sizes.Sample((count, inputs, rows, seed) =>
        {
            Check<Float32Element>(Dtype.Float32, count, inputs, rows, seed);
            Check<BFloat16Element>(Dtype.Bfloat16, count, inputs, rows, seed);
            Check<Int8Element>(null, count, inputs, rows, seed);
        });

        static void Check<T>(Dtype? dtype, int count, int inputs, int rows, int seed)
            where T : struct, IElement
        {
            var (weights, values) = Weights<T>(dtype, count * inputs, seed);
            var x = Random(rows * inputs, seed + 1);
            var y = new float[rows * count];
            var alone = new float[count];
            fixed (byte* w = weights)
            fixed (float* from = x, to = y, one = alone)
            {
                RowKernels.Dots<T>(w, inputs * T.Size, count, inputs, from, rows, to, count);
                for (var row = 0; row < rows; row++)
                {
                    RowKernels.Dots<T>(w, inputs * T.Size, count, inputs, from + (row * inputs), 1, one, count);
                    Assert.Equal(alone, y[(row * count)..((row + 1) * count)]); // the same bits
                    for (var r = 0; r < count; r++)
                    {
                        Near(Dot(x.AsSpan(row * inputs, inputs), values.AsSpan(r * inputs), 1), y[(row * count) + r], inputs);
                    }
                }
            }
        }
    }

    [Fact]
    public void Rows_weighted_and_added()
    {
        RequireAvx512();
        Sizes.Sample((width, count, rows, seed) =>
        {
            Check<Float32Element>(Dtype.Float32, width, count, rows, seed);
            Check<BFloat16Element>(Dtype.Bfloat16, width, count, rows, seed);
        });

        static void Check<T>(Dtype? dtype, int width, int count, int rows, int seed)
            where T : struct, IElement
        {
            var (weights, values) = Weights<T>(dtype, count * width, seed);
            var x = Random(rows * count, seed + 1);
            var wanted = Math.Max(1, rows - (seed % 3));
            var y = new float[(wanted * width) + 1];
            y[^1] = 7;
            fixed (byte* w = weights)
            fixed (float* from = x, to = y)
            {
                RowKernels.Sums<T>(w, width * T.Size, count, width, from, count, rows, wanted, to);
            }

            Assert.Equal(7, y[^1]); // nothing beyond what is wanted
            for (var row = 0; row < wanted; row++)
            {
                for (var d = 0; d < width; d++)
                {
                    Near(Dot(x.AsSpan(row * count, count), values.AsSpan(d), width), y[(row * width) + d], count);
                }
            }
        }
    }

    private static Gen<(int, int, int, int)> Sizes => Gen.Select(Gen.Int[1, 70], Gen.Int[1, 70], Gen.Int[0, 3].Select(power => power == 0 ? 1 : 2 << power), Gen.Int[0, 1000]);

    private static void RequireAvx512() => Assert.SkipUnless(System.Runtime.Intrinsics.X86.Avx512F.IsSupported, "this processor has no AVX-512: torch's products are used");

    private static double Dot(ReadOnlySpan<float> x, ReadOnlySpan<float> y, int stride)
    {
        var sum = 0.0;
        for (var i = 0; i < x.Length; i++)
        {
            sum += (double)x[i] * y[i * stride];
        }

        return sum;
    }

    private static void Near(double expected, float seen, int terms) =>
        Assert.InRange(seen - expected, -1e-6 * terms * 128, 1e-6 * terms * 128);

    private static float[] Random(int count, int seed)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)((2 * random.NextDouble()) - 1))];
    }

    /// <summary>Random elements, as they are kept and as numbers; int8 where there is no dtype.</summary>
    private static (byte[] Kept, float[] Values) Weights<T>(Dtype? dtype, int count, int seed)
        where T : struct, IElement
    {
        var values = Random(count, seed);
        var kept = dtype is { } floating ? ElementConversion.FromFloats(values, floating) : [.. values.Select(value => (byte)(sbyte)(value * 127))];
        fixed (byte* first = kept)
        {
            for (var i = 0; i < count; i++)
            {
                values[i] = T.LoadOne(first + (i * T.Size));
            }
        }

        return (kept, values);
    }
}

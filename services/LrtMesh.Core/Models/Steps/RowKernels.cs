using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace LrtMesh.Core.Models.Steps;

/// <summary>
/// Products of few rows, which take as long as their weights take to arrive: each weight is read once, turned to float32 in a register and used for up to four rows there.
/// An element of the outcome is computed by the same operations in the same order in every kernel, so a row gets the same bits in any company.
/// </summary>
internal static unsafe class RowKernels
{
    /// <summary>Rows of <c>x</c> and <c>y</c> are written and read in fours, but for a single one.</summary>
    public const int Block = 4;

    private const int Lanes = 16;
    private const int Ahead = 16 * 1024; // bytes: how far before their use weights are asked for
    private const int Near = 64 * 1024; // bytes of weights that stay in a core's caches for all rows of x
    private const int CacheLine = 64;

    /// <summary>y[n, r] = Σ_i x[n, i]·w[r, i] for some rows of w.</summary>
    /// <param name="weights">The first of them.</param>
    /// <param name="stride">Bytes from one to the next.</param>
    /// <param name="count">How many.</param>
    /// <param name="inputs">Elements of each.</param>
    /// <param name="x">[rows, inputs].</param>
    /// <param name="rows">1, or a multiple of <see cref="Block"/>.</param>
    /// <param name="y">The first row's first outcome.</param>
    /// <param name="yStride">Floats from one row to the next.</param>
    public static void Dots<T>(byte* weights, nint stride, int count, int inputs, float* x, int rows, float* y, nint yStride)
        where T : struct, IElement
    {
        var r = 0;
        if (rows == 1)
        {
            for (; r + 8 <= count; r += 8)
            {
                EightByOne<T>(weights + (r * stride), stride, inputs, x, y + r);
            }
        }
        else
        {
            var near = Math.Max(1, (int)(Near / (Block * stride))) * Block;
            for (; r + Block <= count; r = Math.Min(r + near, count / Block * Block))
            {
                for (var n = 0; n < rows; n += Block)
                {
                    for (var at = r; at < r + near && at + Block <= count; at += Block)
                    {
                        FourByFour<T>(weights + (at * stride), stride, inputs, x + ((nint)n * inputs), y + (n * yStride) + at, yStride, n == 0);
                    }
                }
            }
        }

        for (; r < count; r++)
        {
            for (var n = 0; n < rows; n++)
            {
                y[(n * yStride) + r] = Dot<T>(weights + (r * stride), inputs, x + ((nint)n * inputs));
            }
        }
    }

    /// <summary>y[n, d] = Σ_i x[n, i]·w[i, d]: rows of w weighted and added.</summary>
    /// <param name="weights">The first row.</param>
    /// <param name="stride">Bytes from one to the next.</param>
    /// <param name="count">How many.</param>
    /// <param name="width">Elements of each.</param>
    /// <param name="x">The first row's first weight.</param>
    /// <param name="xStride">Floats from one row to the next.</param>
    /// <param name="rows">1, or a multiple of <see cref="Block"/> for x; only those of y that are <paramref name="wanted"/> are written.</param>
    /// <param name="wanted">How many rows of y.</param>
    /// <param name="y">[wanted, width].</param>
    public static void Sums<T>(byte* weights, nint stride, int count, int width, float* x, nint xStride, int rows, int wanted, float* y)
        where T : struct, IElement
    {
        for (var n = 0; n < wanted; n += Block)
        {
            var d = 0;
            for (; d + (2 * Lanes) <= width; d += 2 * Lanes)
            {
                if (rows == 1)
                {
                    OneSum<T>(weights + (d * T.Size), stride, count, x, y + d);
                }
                else
                {
                    FourSums<T>(weights + (d * T.Size), stride, count, x + (n * xStride), xStride, y + (n * width) + d, width, Math.Min(Block, wanted - n));
                }
            }

            for (; d < width; d++)
            {
                for (var row = n; row < Math.Min(n + Block, wanted); row++)
                {
                    var sum = 0f;
                    for (var i = 0; i < count; i++)
                    {
                        sum = MathF.FusedMultiplyAdd(x[(row * xStride) + i], T.LoadOne(weights + (i * stride) + (d * T.Size)), sum);
                    }

                    y[(row * width) + d] = sum;
                }
            }
        }
    }

    private static float Dot<T>(byte* w, int inputs, float* x)
        where T : struct, IElement
    {
        var sum = Vector512<float>.Zero;
        var i = 0;
        for (; i + Lanes <= inputs; i += Lanes)
        {
            sum = Avx512F.FusedMultiplyAdd(T.Load(w + (i * T.Size)), Vector512.Load(x + i), sum);
        }

        return Sum(sum) + Tail<T>(w, i, inputs, x);
    }

    private static float Tail<T>(byte* w, int from, int inputs, float* x)
        where T : struct, IElement
    {
        var sum = 0f;
        for (var i = from; i < inputs; i++)
        {
            sum = MathF.FusedMultiplyAdd(T.LoadOne(w + (i * T.Size)), x[i], sum);
        }

        return sum;
    }

    private static void EightByOne<T>(byte* w, nint stride, int inputs, float* x, float* y)
        where T : struct, IElement
    {
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default, s4 = default, s5 = default, s6 = default, s7 = default;
        var w4 = w + (4 * stride);
        var i = 0;
        for (; i + Lanes <= inputs; i += Lanes)
        {
            var v = Vector512.Load(x + i);
            var at = w + (i * T.Size);
            var at4 = w4 + (i * T.Size);
            var ahead = w + Ahead + (8 * i * T.Size); // as many lines as are read here
            for (var line = 0; line < 8 * Lanes * T.Size; line += CacheLine)
            {
                Sse.PrefetchNonTemporal(ahead + line); // read once: it need not push others out of the second cache
            }

            s0 = Avx512F.FusedMultiplyAdd(T.Load(at), v, s0);
            s1 = Avx512F.FusedMultiplyAdd(T.Load(at + stride), v, s1);
            s2 = Avx512F.FusedMultiplyAdd(T.Load(at + (2 * stride)), v, s2);
            s3 = Avx512F.FusedMultiplyAdd(T.Load(at + (3 * stride)), v, s3);
            s4 = Avx512F.FusedMultiplyAdd(T.Load(at4), v, s4);
            s5 = Avx512F.FusedMultiplyAdd(T.Load(at4 + stride), v, s5);
            s6 = Avx512F.FusedMultiplyAdd(T.Load(at4 + (2 * stride)), v, s6);
            s7 = Avx512F.FusedMultiplyAdd(T.Load(at4 + (3 * stride)), v, s7);
        }

        var lanes = InLanes(InLanes(s0, s1, s2, s3), InLanes(s4, s5, s6, s7)); // of two, and of two
        (lanes.GetLower().GetLower() + lanes.GetLower().GetUpper()).Store(y);
        (lanes.GetUpper().GetLower() + lanes.GetUpper().GetUpper()).Store(y + 4);
        for (var r = 0; i < inputs && r < 8; r++)
        {
            y[r] += Tail<T>(w + (r * stride), i, inputs, x);
        }
    }

    private static void FourByFour<T>(byte* w, nint stride, int inputs, float* x, float* y, nint yStride, bool first)
        where T : struct, IElement
    {
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default, s10 = default, s11 = default, s12 = default, s13 = default;
        Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default, s30 = default, s31 = default, s32 = default, s33 = default;
        float* x1 = x + inputs, x2 = x1 + inputs, x3 = x2 + inputs;
        byte* w1 = w + stride, w2 = w1 + stride, w3 = w2 + stride;
        var i = 0;
        for (; i + Lanes <= inputs; i += Lanes)
        {
            var (v0, v1, v2, v3) = (Vector512.Load(x + i), Vector512.Load(x1 + i), Vector512.Load(x2 + i), Vector512.Load(x3 + i));
            var at = i * T.Size;
            if (first)
            {
                var ahead = w + Ahead + (4 * at);
                for (var line = 0; line < 4 * Lanes * T.Size; line += CacheLine)
                {
                    Sse.Prefetch1(ahead + line); // into the second cache: read once for each four rows of x
                }
            }

            var weight = T.Load(w + at);
            s00 = Avx512F.FusedMultiplyAdd(weight, v0, s00);
            s01 = Avx512F.FusedMultiplyAdd(weight, v1, s01);
            s02 = Avx512F.FusedMultiplyAdd(weight, v2, s02);
            s03 = Avx512F.FusedMultiplyAdd(weight, v3, s03);
            weight = T.Load(w1 + at);
            s10 = Avx512F.FusedMultiplyAdd(weight, v0, s10);
            s11 = Avx512F.FusedMultiplyAdd(weight, v1, s11);
            s12 = Avx512F.FusedMultiplyAdd(weight, v2, s12);
            s13 = Avx512F.FusedMultiplyAdd(weight, v3, s13);
            weight = T.Load(w2 + at);
            s20 = Avx512F.FusedMultiplyAdd(weight, v0, s20);
            s21 = Avx512F.FusedMultiplyAdd(weight, v1, s21);
            s22 = Avx512F.FusedMultiplyAdd(weight, v2, s22);
            s23 = Avx512F.FusedMultiplyAdd(weight, v3, s23);
            weight = T.Load(w3 + at);
            s30 = Avx512F.FusedMultiplyAdd(weight, v0, s30);
            s31 = Avx512F.FusedMultiplyAdd(weight, v1, s31);
            s32 = Avx512F.FusedMultiplyAdd(weight, v2, s32);
            s33 = Avx512F.FusedMultiplyAdd(weight, v3, s33);
        }

        var low = InLanes(InLanes(s00, s10, s20, s30), InLanes(s01, s11, s21, s31));
        var high = InLanes(InLanes(s02, s12, s22, s32), InLanes(s03, s13, s23, s33));
        var all = InLanes(low, high);
        all.GetLower().GetLower().Store(y);
        all.GetLower().GetUpper().Store(y + yStride);
        all.GetUpper().GetLower().Store(y + (2 * yStride));
        all.GetUpper().GetUpper().Store(y + (3 * yStride));
        for (var r = 0; i < inputs && r < Block; r++)
        {
            for (var n = 0; n < Block; n++)
            {
                y[(n * yStride) + r] += Tail<T>(w + (r * stride), i, inputs, x + ((nint)n * inputs));
            }
        }
    }

    /// <summary>Sums of a vector's elements, in the order in which the two below make them of several vectors at once.</summary>
    private static float Sum(Vector512<float> s)
    {
        var lanes = InLanes(s, s, s, s);
        lanes = InLanes(lanes, lanes);
        return (lanes.GetLower().GetLower() + lanes.GetLower().GetUpper()).ToScalar();
    }

    /// <summary>Of four vectors one, whose every lane of four holds the sum of each one's lane there.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> InLanes(Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
    {
        var ab = (Avx512F.UnpackLow(a, b) + Avx512F.UnpackHigh(a, b)).AsDouble();
        var cd = (Avx512F.UnpackLow(c, d) + Avx512F.UnpackHigh(c, d)).AsDouble();
        return Avx512F.UnpackLow(ab, cd).AsSingle() + Avx512F.UnpackHigh(ab, cd).AsSingle();
    }

    /// <summary>The sums of each vector's lanes 0 and 1, and 2 and 3: the first's, then the second's.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> InLanes(Vector512<float> first, Vector512<float> second) =>
        Avx512F.Shuffle4x128(first, second, 0b10_00_10_00) + Avx512F.Shuffle4x128(first, second, 0b11_01_11_01);

    private static void OneSum<T>(byte* w, nint stride, int count, float* x, float* y)
        where T : struct, IElement
    {
        Vector512<float> low = default, high = default;
        for (var i = 0; i < count; i++, w += stride)
        {
            var v = Vector512.Create(x[i]);
            low = Avx512F.FusedMultiplyAdd(T.Load(w), v, low);
            high = Avx512F.FusedMultiplyAdd(T.Load(w + (Lanes * T.Size)), v, high);
        }

        low.Store(y);
        high.Store(y + Lanes);
    }

    private static void FourSums<T>(byte* w, nint stride, int count, float* x, nint xStride, float* y, int width, int wanted)
        where T : struct, IElement
    {
        Vector512<float> l0 = default, h0 = default, l1 = default, h1 = default, l2 = default, h2 = default, l3 = default, h3 = default;
        float* x1 = x + xStride, x2 = x1 + xStride, x3 = x2 + xStride;
        for (var i = 0; i < count; i++, w += stride)
        {
            var (low, high) = (T.Load(w), T.Load(w + (Lanes * T.Size)));
            var v = Vector512.Create(x[i]);
            l0 = Avx512F.FusedMultiplyAdd(low, v, l0);
            h0 = Avx512F.FusedMultiplyAdd(high, v, h0);
            v = Vector512.Create(x1[i]);
            l1 = Avx512F.FusedMultiplyAdd(low, v, l1);
            h1 = Avx512F.FusedMultiplyAdd(high, v, h1);
            v = Vector512.Create(x2[i]);
            l2 = Avx512F.FusedMultiplyAdd(low, v, l2);
            h2 = Avx512F.FusedMultiplyAdd(high, v, h2);
            v = Vector512.Create(x3[i]);
            l3 = Avx512F.FusedMultiplyAdd(low, v, l3);
            h3 = Avx512F.FusedMultiplyAdd(high, v, h3);
        }

        Store(l0, h0, 0);
        Store(l1, h1, 1);
        Store(l2, h2, 2);
        Store(l3, h3, 3);

        void Store(Vector512<float> low, Vector512<float> high, int row)
        {
            if (row < wanted)
            {
                low.Store(y + (row * width));
                high.Store(y + (row * width) + Lanes);
            }
        }
    }
}

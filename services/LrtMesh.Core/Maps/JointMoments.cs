using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Moments of several layers on the same rows: n, Σz and Σzzᵀ of each layer and Σz_x·z_yᵀ of each pair of the layout, about a
/// provisional mean. Each layer's own products are computed once, however many pairs it is in.
/// </summary>
/// <remarks>
/// Of Σzzᵀ only the upper triangle is summed, in panels of <see cref="Panel"/> rows of the matrix; the lower one is copied from
/// it when a pair is looked at. A panel is multiplied with its layer's remaining columns and with those of all partners that
/// lie next to them in one product.
/// </remarks>
public sealed class JointMoments
{
    // Of d² products a triangle in panels takes d²/2 + d·Panel/2: narrower panels save products, wider ones multiply faster.
    private const int Panel = 256;

    // Columns of one product: its float32 result, Panel by this, stays in the cache until it is added to the sums.
    private const int MostColumns = 4096;

    // The library sums wide products in stretches of a few hundred rows, but one narrower than this row after row.
    private const int Narrow = 16;

    private readonly float[][] _origins; // [d] of each layer
    private readonly double[][] _sums; // [d] of each layer
    private readonly double[][] _squares; // [d, d] of each layer; the lower triangle is right only if _mirrored
    private readonly double[][] _crosses; // [dx, dy] of each pair
    private bool _mirrored = true;

    /// <summary>No rows yet.</summary>
    /// <param name="layout">Layers and pairs.</param>
    /// <param name="origin">Subtracted from each row, [layout.Width].</param>
    internal JointMoments(MomentLayout layout, ReadOnlySpan<float> origin)
    {
        Layout = layout;
        _origins = [.. layout.Widths.Select(width => new float[width])];
        MoveTo(origin);
        _sums = [.. layout.Widths.Select(width => new double[width])];
        _squares = [.. layout.Widths.Select(width => new double[(long)width * width])];
        _crosses = [.. layout.Pairs.Select(p => new double[(long)layout.Widths[p.X] * layout.Widths[p.Y]])];

        // A page that is read before it is written costs two faults, and the second stops all threads.
        Array.ForEach(_squares, Array.Clear);
        Array.ForEach(_crosses, Array.Clear);
    }

    /// <summary>
    /// Most rows whose products are summed one after another in float32: what the rounding of sums grows with. Wide products of more
    /// rows are no worse, narrow ones are taken in parts of so many.
    /// </summary>
    public const int ChainRows = 256;

    /// <summary>Layers and pairs.</summary>
    public MomentLayout Layout { get; }

    /// <summary>n, the number of rows.</summary>
    public long Rows { get; internal set; }

    /// <summary>The provisional mean of a layer, [d].</summary>
    public float[] Origin(int layer) => _origins[layer];

    /// <summary>Σz of a layer about its origin, [d].</summary>
    public double[] Sum(int layer) => _sums[layer];

    /// <summary>Σzzᵀ of a layer about its origin, [d, d], symmetric; not to be changed.</summary>
    public double[] Square(int layer)
    {
        Mirror();
        return _squares[layer];
    }

    /// <summary>Σz_x·z_yᵀ of a pair about the origins, [dx, dy]; not to be changed.</summary>
    public double[] Cross(int pair) => _crosses[pair];

    /// <summary>The moments of a pair, sharing this one's sums: right until more rows are added here, and not to be changed.</summary>
    public PairMoments Pair(int pair)
    {
        var (x, y) = Layout.Pairs[pair];
        return new PairMoments(_origins[x], _origins[y], Rows, _sums[x], _sums[y], Square(x), _crosses[pair], Square(y));
    }

    /// <summary>Adds other moments of the same layout, moved to these origins.</summary>
    public void Add(JointMoments other)
    {
        if (!Layout.Same(other.Layout))
        {
            throw new ArgumentException("moments add only between equal layers and pairs", nameof(other));
        }

        Mirror();
        var deltas = _origins.Select((origin, i) => MomentSums.Shift(other._origins[i], origin)).ToArray();
        for (var p = 0; p < _crosses.Length; p++)
        {
            var (x, y) = Layout.Pairs[p];
            MomentSums.AddShifted(_crosses[p], other._crosses[p], other._sums[x], other._sums[y], deltas[x], deltas[y], other.Rows, 1);
        }

        for (var i = 0; i < _sums.Length; i++)
        {
            MomentSums.AddShifted(_squares[i], other.Square(i), other._sums[i], other._sums[i], deltas[i], deltas[i], other.Rows, 1);
            MomentSums.AddShifted(_sums[i], other._sums[i], deltas[i], other.Rows, 1);
        }

        Rows += other.Rows;
        _mirrored = false; // a moved product is symmetric only to rounding
    }

    /// <summary>Adds a block of rows: products in float32, sums in float64.</summary>
    /// <param name="rows">[rows, layout.Width], about the origin.</param>
    internal void AddBlock(ReadOnlySpan<float> rows)
    {
        var count = rows.Length / Layout.Width;
        using var scope = NewDisposeScope();
        var z = empty(count, Layout.Width, dtype: ScalarType.Float32); // torch aligns it always alike, so that sums repeat bit for bit
        CopyAndSum(rows, MemoryMarshal.Cast<byte, float>(z.bytes));
        for (var layer = 0; layer < _sums.Length; layer++)
        {
            for (var top = 0; top < Layout.Widths[layer]; top += Panel)
            {
                AddPanel(layer, top, z);
            }
        }

        Rows += count;
        _mirrored = false;
    }

    /// <summary>Sets the origin that the sums are about; they are not changed.</summary>
    internal void MoveTo(ReadOnlySpan<float> origin)
    {
        for (var i = 0; i < _origins.Length; i++)
        {
            origin.Slice(Layout.Starts[i], _origins[i].Length).CopyTo(_origins[i]);
        }
    }

    /// <summary>Σzzᵀ of a layer of which the upper triangle alone counts, to be saved or read into.</summary>
    internal double[] Upper(int layer)
    {
        _mirrored = false;
        return _squares[layer];
    }

    private void Mirror()
    {
        if (!_mirrored)
        {
            for (var i = 0; i < _squares.Length; i++)
            {
                MomentSums.Mirror(_squares[i], Layout.Widths[i]);
            }

            _mirrored = true;
        }
    }

    private void AddPanel(int layer, int top, Tensor z)
    {
        var height = Math.Min(Panel, Layout.Widths[layer] - top);
        foreach (var (start, end) in Layout.Runs[layer])
        {
            var from = Math.Max(start, start == Layout.Starts[layer] ? start + top : start);
            for (var left = from; left < end; left += MostColumns)
            {
                var columns = Math.Min(MostColumns, end - left);
                var rows = Math.Min(height, columns) < Narrow ? ChainRows : (int)z.shape[0];
                for (var first = 0L; first < z.shape[0]; first += rows)
                {
                    using var scope = NewDisposeScope();
                    var part = z.narrow(0, first, Math.Min(rows, z.shape[0] - first));
                    Scatter(layer, top, left, part.narrow(1, Layout.Starts[layer] + top, height).t().matmul(part.narrow(1, left, columns))); // [height, columns]
                }
            }
        }
    }

    /// <summary>Adds a product's columns to the sums of the layers that they belong to.</summary>
    private void Scatter(int layer, int top, int left, Tensor product)
    {
        var columns = (int)product.shape[1];
        var values = MemoryMarshal.Cast<byte, float>(product.bytes);
        for (var other = 0; other < _sums.Length; other++)
        {
            var from = Math.Max(left, Layout.Starts[other]);
            var to = Math.Min(left + columns, Layout.Starts[other] + Layout.Widths[other]);
            if (from >= to)
            {
                continue;
            }

            var sums = other == layer ? _squares[layer] : _crosses[Layout.IndexOf(layer, other)];
            for (var row = 0; row < product.shape[0]; row++)
            {
                var at = ((long)(top + row) * Layout.Widths[other]) + from - Layout.Starts[other];
                MomentSums.Add(sums.AsSpan((int)at, to - from), values.Slice((row * columns) + from - left, to - from));
            }
        }
    }

    private void CopyAndSum(ReadOnlySpan<float> rows, Span<float> copy)
    {
        for (var at = 0; at < rows.Length; at += Layout.Width)
        {
            var row = rows.Slice(at, Layout.Width);
            row.CopyTo(copy[at..]);
            for (var i = 0; i < _sums.Length; i++)
            {
                MomentSums.Add(_sums[i], row.Slice(Layout.Starts[i], Layout.Widths[i]));
            }
        }
    }
}

using static TorchSharp.torch;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Moments of the control: source rows paired with target rows of other documents, which shows what a map of the same size
/// and penalty makes of pairs that have nothing to do with each other.
/// </summary>
/// <remarks>
/// The rule: documents are gathered until there are two or more with at least <see cref="BlockRows"/> rows together. Then
/// each x is paired with a y drawn uniformly, with a fixed seed, from the rows of the other documents of that block, at any
/// position. Of a document longer than <see cref="BlockRows"/> rows only the first ones take part. A last document that
/// finds no partner is left out. Since rows may be drawn twice, the control has its own n, Σx and Σy'.
/// </remarks>
public sealed class ShuffledMoments
{
    /// <summary>Rows among which partners are drawn; enough for several documents.</summary>
    internal const int BlockRows = 1024;

    private readonly float[] _x; // [pending rows, ds]
    private readonly float[] _y; // [pending rows, dt]
    private readonly List<int> _starts = []; // first row of each pending document
    private int _pending;
    private ulong _random = 0x9E3779B97F4A7C15;

    internal ShuffledMoments(float[] originX, float[] originY)
    {
        (OriginX, OriginY) = (originX, originY);
        (SumX, SumY) = (new double[originX.Length], new double[originY.Length]);
        Xy = new double[originX.LongLength * originY.Length];
        _x = new float[PendingRows * originX.Length];
        _y = new float[PendingRows * originY.Length];
    }

    /// <summary>n: rows that found a partner in another document.</summary>
    public long Rows { get; private set; }

    /// <summary>Σx of those rows about the origin, [ds].</summary>
    public double[] SumX { get; }

    /// <summary>Σy' about the origin, [dt].</summary>
    public double[] SumY { get; }

    /// <summary>Σxy'ᵀ about the origins, [ds, dt].</summary>
    public double[] Xy { get; }

    // Fewer than BlockRows, or one document, wait; one more document comes on top.
    internal static int PendingRows => 2 * BlockRows;

    private float[] OriginX { get; }

    private float[] OriginY { get; }

    internal void AddDocument(ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        var rows = Math.Min(x.Length / OriginX.Length, BlockRows);
        _starts.Add(_pending);
        x[..(rows * OriginX.Length)].CopyTo(_x.AsSpan(_pending * OriginX.Length));
        y[..(rows * OriginY.Length)].CopyTo(_y.AsSpan(_pending * OriginY.Length));
        _pending += rows;
        if (_pending >= BlockRows)
        {
            Flush();
        }
    }

    /// <summary>Pairs what waits, if it comes from two documents or more.</summary>
    internal void Flush()
    {
        if (_starts.Count < 2)
        {
            return;
        }

        var width = OriginY.Length;
        var partners = new float[_pending * width];
        for (var document = 0; document < _starts.Count; document++)
        {
            var start = _starts[document];
            var end = document + 1 < _starts.Count ? _starts[document + 1] : _pending;
            for (var row = start; row < end; row++)
            {
                // A row among all but this document's: those from its start on are moved past its end.
                var drawn = (int)(Next() % (ulong)(_pending - (end - start)));
                var partner = drawn < start ? drawn : drawn + (end - start);
                _y.AsSpan(partner * width, width).CopyTo(partners.AsSpan(row * width));
            }
        }

        using (NewDisposeScope())
        {
            var xs = PairMoments.Rows32(_x.AsSpan(0, _pending * OriginX.Length), _pending, OriginX); // [rows, ds]
            var ys = PairMoments.Rows32(partners, _pending, OriginY); // [rows, dt]
            PairMoments.AddTo(SumX, xs.sum(0, type: ScalarType.Float64));
            PairMoments.AddTo(SumY, ys.sum(0, type: ScalarType.Float64));
            PairMoments.AddTo(Xy, xs.t().matmul(ys));
        }

        Rows += _pending;
        _pending = 0;
        _starts.Clear();
    }

    /// <summary>Adds what another control has paired, moved to this origin.</summary>
    internal void Add(ShuffledMoments other)
    {
        other.Flush();
        var dx = PairMoments.Shift(other.OriginX, OriginX);
        var dy = PairMoments.Shift(other.OriginY, OriginY);
        PairMoments.AddShifted(Xy, other.Xy, other.SumX, other.SumY, dx, dy, other.Rows, 1);
        PairMoments.AddSums(SumX, other.SumX, dx, other.Rows, 1);
        PairMoments.AddSums(SumY, other.SumY, dy, other.Rows, 1);
        Rows += other.Rows;
    }

    // SplitMix64: a fixed seed makes the control the same in every run.
    private ulong Next() => HeldOutSample.Mix(_random += 0x9E3779B97F4A7C15);
}

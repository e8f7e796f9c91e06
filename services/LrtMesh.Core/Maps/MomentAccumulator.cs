using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Gathers the moments of a layout's layers, fold by fold, from documents as they pass. The last fold is held out of every fit
/// and of the choice of λ. Not for two threads at once; torch tensors live only inside a call, so calls may come from
/// different threads.
/// </summary>
/// <remarks>
/// Rows of a fold wait until a block of <see cref="BlockRows"/> is full: a product of few rows is mostly the adding of its result to
/// the sums. The provisional mean is the median of the first document's rows, which a single token far from all others (as the first of a text often is) does not move; all folds
/// share it. What was gathered can be saved between two documents and goes on from there as if nothing had happened, bit for bit
/// (<see cref="MomentFile"/>); looking at a fold ends its block, and so does change the last bits of what follows.
/// </remarks>
public sealed class MomentAccumulator
{
    /// <summary>Rows in a block of products.</summary>
    public const int BlockRows = 2048;

    private const int OriginRows = 256; // of the first document

    // Squares of larger values, summed over a block, would leave float32's range.
    private const float LargestMagnitude = 1e15f;

    /// <summary>No rows of one pair of layers yet.</summary>
    /// <param name="sourceWidth">ds, width of the source's rows.</param>
    /// <param name="targetWidth">dt, width of the target's rows.</param>
    /// <param name="folds">At least 3: two to choose λ by, and the last one held out.</param>
    /// <param name="shuffled">Gather the control's moments too.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: too few folds.</exception>
    public MomentAccumulator(int sourceWidth, int targetWidth, int folds, bool shuffled)
        : this(MomentLayout.Pair(sourceWidth, targetWidth), folds, shuffled)
    {
    }

    /// <summary>No rows yet. See <see cref="BytesNeeded(MomentLayout, int, bool, int)"/> for the memory that it will take.</summary>
    /// <param name="layout">Layers and pairs.</param>
    /// <param name="folds">At least 3: two to choose λ by, and the last one held out.</param>
    /// <param name="shuffled">Gather the control's moments too.</param>
    /// <param name="sampleRows">Most held-out rows kept, 0 or more.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: too few folds.</exception>
    public MomentAccumulator(MomentLayout layout, int folds, bool shuffled, int sampleRows = HeldOutSample.DefaultCapacity)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(sampleRows);
        if (folds < 3)
        {
            throw LrtMeshException.Invalid("fit.folds", $"must be at least 3 (two to choose lambda by and one held out), not {folds}");
        }

        (Layout, Shuffled, SampleRows) = (layout, shuffled, sampleRows);
        Waiting = [.. Enumerable.Range(0, folds).Select(_ => new float[checked(BlockRows * layout.Width)])];
        WaitingRows = new int[folds];
        Sample = new HeldOutSample(layout.Widths, sampleRows);
    }

    /// <summary>Layers and pairs.</summary>
    public MomentLayout Layout { get; }

    /// <summary>Whether the control's moments are gathered too.</summary>
    public bool Shuffled { get; }

    /// <summary>Most held-out rows kept.</summary>
    public int SampleRows { get; }

    /// <summary>Width of the first pair's source.</summary>
    public int SourceWidth => Layout.Widths[Layout.Pairs[0].X];

    /// <summary>Width of the first pair's target.</summary>
    public int TargetWidth => Layout.Widths[Layout.Pairs[0].Y];

    /// <summary>Number of folds, the held-out one included.</summary>
    public int Folds => WaitingRows.Length;

    /// <summary>The fold that no fit and no choice sees: the last.</summary>
    public int HeldOutFold => Folds - 1;

    /// <summary>Rows added so far, over all folds.</summary>
    public long Rows { get; internal set; }

    /// <summary>Rows that held a number that is not finite (or beyond 1e15) and were not added.</summary>
    public long RefusedRows { get; internal set; }

    /// <summary>A bounded sample of the held-out fold's rows.</summary>
    public HeldOutSample Sample { get; }

    /// <summary>Per fold, rows that wait for a full block, [BlockRows, width], about the origin.</summary>
    internal float[][] Waiting { get; }

    /// <summary>Rows that wait, per fold.</summary>
    internal int[] WaitingRows { get; }

    /// <summary>The provisional mean, [width]; null before the first row.</summary>
    internal float[]? Origin { get; private set; }

    /// <summary>Sums of each fold without the rows that wait; null before the first row.</summary>
    internal JointMoments[]? Sums { get; private set; }

    /// <summary>The control as far as it has paired rows; null if it is not gathered or before the first row.</summary>
    internal ShuffledMoments? ControlSums { get; private set; }

    /// <summary>Memory in bytes for gathering one pair of these widths and for the fit that follows, at its peak.</summary>
    public static long BytesNeeded(int sourceWidth, int targetWidth, int folds, bool shuffled) =>
        BytesNeeded([sourceWidth, targetWidth], [(0, 1)], folds, shuffled, HeldOutSample.DefaultCapacity);

    /// <summary>Memory in bytes for gathering a layout and for one pair's fit at a time after it, at its peak.</summary>
    public static long BytesNeeded(MomentLayout layout, int folds, bool shuffled, int sampleRows = HeldOutSample.DefaultCapacity) =>
        BytesNeeded(layout.Widths, layout.Pairs, folds, shuffled, sampleRows);

    /// <summary>The same before a layout is made, so that one too wide for memory can be refused; counts without overflow.</summary>
    public static long BytesNeeded(
        IReadOnlyList<int> widths, IReadOnlyList<(int X, int Y)> pairs, int folds, bool shuffled, int sampleRows)
    {
        var width = widths.Aggregate((Int128)0, (sum, d) => sum + d);
        var row = width * sizeof(float);
        var sums = (Int128)MomentLayout.BytesPerFold(widths, pairs) + (width * sizeof(double));
        var crosses = pairs.Aggregate((Int128)0, (sum, p) => sum + ((Int128)widths[p.X] * widths[p.Y] * sizeof(double)));

        // A block's rows once more in torch; the control's rows wait, and are copied per pair.
        var gather = (folds * (sums + (BlockRows * row))) + ((sampleRows + BlockRows) * row);
        var control = shuffled ? crosses + (3 * ShuffledMoments.BlockRows * row) : 0;

        // The sample's rows are copied for a pair, and mapped in float64.
        var fit = pairs.Aggregate((Int128)0, (most, p) => Int128.Max(
            most, Ridge.BytesNeeded(widths[p.X], widths[p.Y]) + (((Int128)widths[p.X] + widths[p.Y]) * sampleRows * 6 * sizeof(float))));
        return (long)Int128.Min(long.MaxValue, gather + control + fit);
    }

    /// <summary>Adds the rows of one document.</summary>
    /// <param name="fold">The document's fold, its index modulo <see cref="Folds"/>.</param>
    /// <param name="layers">Hidden states of each layer at the same positions, [rows, d]; for one pair the source's and the target's.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the layers differ in rows, or a number is not finite; nothing was added.</exception>
    public void Add(int fold, params ReadOnlySpan<ReadOnlyMemory<float>> layers)
    {
        var rows = CheckRows(fold, layers);
        for (var i = 0; i < layers.Length; i++)
        {
            if (!IsFinite(layers[i].Span))
            {
                Refuse(i, layers[i].Span, rows);
            }
        }

        AddChecked(fold, rows, layers);
    }

    /// <summary>
    /// Adds those rows of a document in which every number of every layer is finite (and at most 1e15 in magnitude); the others
    /// are left out and counted in <see cref="RefusedRows"/>.
    /// </summary>
    /// <param name="fold">The document's fold, its index modulo <see cref="Folds"/>.</param>
    /// <param name="layers">Hidden states of each layer at the same positions, [rows, d].</param>
    /// <returns>Rows left out.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument: the layers differ in rows; nothing was added.</exception>
    public int AddFinite(int fold, params ReadOnlySpan<ReadOnlyMemory<float>> layers)
    {
        var rows = CheckRows(fold, layers);
        var whole = true;
        foreach (var layer in layers)
        {
            whole &= IsFinite(layer.Span);
        }

        if (whole)
        {
            AddChecked(fold, rows, layers);
            return 0;
        }

        var kept = new List<int>(rows);
        for (var row = 0; row < rows; row++)
        {
            var finite = true;
            for (var i = 0; i < layers.Length && finite; i++)
            {
                finite = IsFinite(layers[i].Span.Slice(row * Layout.Widths[i], Layout.Widths[i]));
            }

            if (finite)
            {
                kept.Add(row);
            }
        }

        var copies = new ReadOnlyMemory<float>[layers.Length];
        for (var i = 0; i < layers.Length; i++)
        {
            var width = Layout.Widths[i];
            var copy = new float[kept.Count * width];
            for (var row = 0; row < kept.Count; row++)
            {
                layers[i].Span.Slice(kept[row] * width, width).CopyTo(copy.AsSpan(row * width));
            }

            copies[i] = copy;
        }

        AddChecked(fold, kept.Count, copies);
        RefusedRows += rows - kept.Count;
        return rows - kept.Count;
    }

    /// <summary>Adds what another worker has gathered, with the same layout, folds and control.</summary>
    public void Add(MomentAccumulator other)
    {
        if (!other.Layout.Same(Layout) || other.Folds != Folds || other.Shuffled != Shuffled)
        {
            throw new ArgumentException("moments add only between equal layers, pairs, folds and controls", nameof(other));
        }

        RefusedRows += other.RefusedRows;
        if (other.Sums is null)
        {
            return;
        }

        if (Sums is null)
        {
            Begin(other.Origin!);
        }

        for (var fold = 0; fold < Folds; fold++)
        {
            Sums![fold].Add(other.Joint(fold));
        }

        ControlSums?.Add(other.ControlSums!);
        Sample.Add(other.Sample);
        Rows += other.Rows;
    }

    /// <summary>The moments of one fold and pair, with every row added so far; right until more are added.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: no rows were added at all.</exception>
    public PairMoments Fold(int fold, int pair = 0) => Joint(fold).Pair(pair);

    /// <summary>The moments of all layers and pairs of one fold, with every row added so far.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: no rows were added at all.</exception>
    public JointMoments Joint(int fold)
    {
        if (Sums is null)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, "documents: no paired rows, so there is nothing to fit a map on");
        }

        Flush(fold);
        return Sums[fold];
    }

    /// <summary>The moments of all layers and pairs over all folds but the held-out one: a copy.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: no rows were added at all.</exception>
    public JointMoments Fit()
    {
        _ = Joint(0);
        var sum = new JointMoments(Layout, Origin);
        for (var fold = 0; fold < HeldOutFold; fold++)
        {
            sum.Add(Joint(fold));
        }

        return sum;
    }

    /// <summary>What a solver needs of one pair; right until more rows are added.</summary>
    /// <param name="pair">Index into the layout's pairs.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: no rows were added at all.</exception>
    public FoldedMoments Pair(int pair = 0)
    {
        var (x, y) = Layout.Pairs[pair];
        var folds = Enumerable.Range(0, Folds).Select(fold => Fold(fold, pair)).ToArray();
        return new FoldedMoments(
            folds[..HeldOutFold], folds[HeldOutFold], Sample.Layer(x).ToArray(), Sample.Layer(y).ToArray(), Control(pair));
    }

    /// <summary>The moments of a pair's control, with every document added so far that has a partner; null if it is not gathered.</summary>
    public CrossMoments? Control(int pair = 0)
    {
        ControlSums?.Flush();
        return ControlSums?.Moments[pair];
    }

    /// <summary>Sets the provisional mean, before the first row.</summary>
    internal void Begin(float[] origin)
    {
        Origin = origin;
        Sums = [.. Enumerable.Range(0, Folds).Select(_ => new JointMoments(Layout, origin))];
        ControlSums = Shuffled ? new ShuffledMoments(Layout, origin) : null;
    }

    private void AddChecked(int fold, int rows, ReadOnlySpan<ReadOnlyMemory<float>> layers)
    {
        if (rows == 0)
        {
            return;
        }

        if (Sums is null)
        {
            var origin = new float[Layout.Width];
            for (var i = 0; i < layers.Length; i++)
            {
                MedianOf(layers[i].Span, Layout.Widths[i]).CopyTo(origin, Layout.Starts[i]);
            }

            Begin(origin);
        }

        if (fold == HeldOutFold)
        {
            Sample.Add(layers);
        }
        else
        {
            ControlSums?.AddDocument(layers);
        }

        Rows += rows;
        for (var done = 0; done < rows;)
        {
            var take = Math.Min(rows - done, BlockRows - WaitingRows[fold]);
            RowBuffer.Fill(Waiting[fold], WaitingRows[fold], layers, done, take, Layout, Origin!);
            WaitingRows[fold] += take;
            done += take;
            if (WaitingRows[fold] == BlockRows)
            {
                Flush(fold);
            }
        }
    }

    private void Flush(int fold)
    {
        if (WaitingRows[fold] > 0)
        {
            Sums![fold].AddBlock(Waiting[fold].AsSpan(0, WaitingRows[fold] * Layout.Width));
            WaitingRows[fold] = 0;
        }
    }

    private int CheckRows(int fold, ReadOnlySpan<ReadOnlyMemory<float>> layers)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fold);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(fold, Folds);
        if (layers.Length != Layout.Widths.Count)
        {
            throw new ArgumentException($"must be rows of {Layout.Widths.Count} layers, not {layers.Length}", nameof(layers));
        }

        for (var i = 0; i < layers.Length; i++)
        {
            if (layers[i].Length % Layout.Widths[i] != 0)
            {
                throw LrtMeshException.Invalid(
                    Side(i), $"must be rows of width {Layout.Widths[i]}, and {layers[i].Length} elements are not whole rows");
            }
        }

        var rows = layers[0].Length / Layout.Widths[0];
        for (var i = 1; i < layers.Length; i++)
        {
            if (layers[i].Length / Layout.Widths[i] is var others && others != rows)
            {
                throw LrtMeshException.Invalid(Side(i), $"must have the {rows} rows that {Side(0)} has, not {others}");
            }
        }

        return rows;
    }

    private string Side(int layer) => Layout.Widths.Count == 2 ? (layer == 0 ? "source" : "target") : $"layers[{layer}]";

    // Magnitudes order as their bits do, with infinity and NaN above every number.
    private static bool IsFinite(ReadOnlySpan<float> values)
    {
        var bits = MemoryMarshal.Cast<float, int>(values);
        var whole = bits.Length - (bits.Length % Vector<int>.Count);
        var most = Vector<int>.Zero;
        for (var i = 0; i < whole; i += Vector<int>.Count)
        {
            most = Vector.Max(most, new Vector<int>(bits[i..]) & new Vector<int>(int.MaxValue));
        }

        var largest = BitConverter.SingleToInt32Bits(LargestMagnitude);
        var finite = Vector.LessThanOrEqualAll(most, new Vector<int>(largest));
        for (var i = whole; i < bits.Length; i++)
        {
            finite &= (bits[i] & int.MaxValue) <= largest;
        }

        return finite;
    }

    private void Refuse(int layer, ReadOnlySpan<float> values, int rows)
    {
        var width = Layout.Widths[layer];
        var bad = 0;
        var first = -1;
        for (var row = 0; row < rows; row++)
        {
            if (!IsFinite(values.Slice(row * width, width)))
            {
                first = first < 0 ? row : first;
                bad++;
            }
        }

        var dimension = 0;
        while (Math.Abs(values[(first * width) + dimension]) <= LargestMagnitude)
        {
            dimension++;
        }

        RefusedRows += bad;
        throw LrtMeshException.Invalid(
            Side(layer),
            string.Create(
                CultureInfo.InvariantCulture,
                $"must hold finite numbers up to {LargestMagnitude:0e0}, but row {first}, dimension {dimension} is {values[(first * width) + dimension]} ({bad} of {rows} rows are like it)"));
    }

    private static float[] MedianOf(ReadOnlySpan<float> rows, int width)
    {
        var column = new float[Math.Min(rows.Length / width, OriginRows)];
        var medians = new float[width];
        for (var i = 0; i < width; i++)
        {
            for (var row = 0; row < column.Length; row++)
            {
                column[row] = rows[(row * width) + i];
            }

            Array.Sort(column);
            medians[i] = column[column.Length / 2];
        }

        return medians;
    }
}

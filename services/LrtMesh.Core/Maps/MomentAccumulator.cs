using System.Globalization;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Gathers the moments of one layer pair, fold by fold, from documents as they pass. The last fold is held out of every fit
/// and of the choice of λ. Not for two threads at once; torch tensors live only inside a call, so calls may come from
/// different threads.
/// </summary>
/// <remarks>
/// Rows of a fold wait until a block of <see cref="BlockRows"/> is full, since one large product is far faster than many small
/// ones; in one of many more rows, float32 would lose the seventh digit. The provisional mean is the median of
/// the first document's rows, which a single token far from all others (as the first of a text often is) does not move; all folds
/// share it.
/// </remarks>
public sealed class MomentAccumulator
{
    /// <summary>Rows in a block of products.</summary>
    public const int BlockRows = 256;

    // Squares of larger values, summed over a block, would leave float32's range.
    private const float LargestMagnitude = 1e15f;

    private readonly bool _shuffled;
    private readonly float[][] _pendingX; // per fold [BlockRows, ds]
    private readonly float[][] _pendingY; // per fold [BlockRows, dt]
    private readonly int[] _pending; // rows that wait, per fold
    private PairMoments[]? _folds;
    private ShuffledMoments? _control;

    /// <summary>No rows yet. See <see cref="BytesNeeded"/> for the memory that it will take.</summary>
    /// <param name="sourceWidth">ds, width of the source's rows.</param>
    /// <param name="targetWidth">dt, width of the target's rows.</param>
    /// <param name="folds">At least 3: two to choose λ by, and the last one held out.</param>
    /// <param name="shuffled">Gather the control's moments too.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: too few folds.</exception>
    public MomentAccumulator(int sourceWidth, int targetWidth, int folds, bool shuffled)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(sourceWidth, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(targetWidth, 1);
        if (folds < 3)
        {
            throw LrtMeshException.Invalid("fit.folds", $"must be at least 3 (two to choose lambda by and one held out), not {folds}");
        }

        (SourceWidth, TargetWidth, _shuffled) = (sourceWidth, targetWidth, shuffled);
        _pendingX = [.. Enumerable.Range(0, folds).Select(_ => new float[BlockRows * sourceWidth])];
        _pendingY = [.. Enumerable.Range(0, folds).Select(_ => new float[BlockRows * targetWidth])];
        _pending = new int[folds];
        Sample = new HeldOutSample(sourceWidth, targetWidth);
    }

    /// <summary>Width of the source.</summary>
    public int SourceWidth { get; }

    /// <summary>Width of the target.</summary>
    public int TargetWidth { get; }

    /// <summary>Number of folds, the held-out one included.</summary>
    public int Folds => _pending.Length;

    /// <summary>The fold that no fit and no choice sees: the last.</summary>
    public int HeldOutFold => Folds - 1;

    /// <summary>Rows added so far, over all folds.</summary>
    public long Rows { get; private set; }

    /// <summary>Rows that held a number that is not finite (or beyond 1e15); their documents were refused whole.</summary>
    public long RefusedRows { get; private set; }

    /// <summary>A bounded sample of the held-out fold's rows.</summary>
    public HeldOutSample Sample { get; }

    /// <summary>Memory in bytes for gathering a pair of these widths and for the fit that follows, at its peak.</summary>
    public static long BytesNeeded(int sourceWidth, int targetWidth, int folds, bool shuffled)
    {
        Int128 ds = sourceWidth;
        Int128 dt = targetWidth;
        var moments = ((ds * ds) + (ds * dt) + (dt * dt) + ds + dt) * sizeof(double);
        var rows = (ds + dt) * sizeof(float);
        var gather = (folds * (moments + (BlockRows * rows))) + (HeldOutSample.Capacity * rows);
        var control = shuffled ? (((ds * dt) + ds + dt) * sizeof(double)) + (3 * ShuffledMoments.BlockRows * rows) : 0;
        return (long)Int128.Min(long.MaxValue, gather + control + Ridge.BytesNeeded(sourceWidth, targetWidth));
    }

    /// <summary>Adds the paired rows of one document.</summary>
    /// <param name="fold">The document's fold, its index modulo <see cref="Folds"/>.</param>
    /// <param name="x">The source's hidden states, [rows, ds].</param>
    /// <param name="y">The target's hidden states at the same positions, [rows, dt].</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the sides differ in rows, or a number is not finite; nothing was added.</exception>
    public void Add(int fold, ReadOnlySpan<float> x, ReadOnlySpan<float> y)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fold);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(fold, Folds);
        var rows = RowsOf(x, SourceWidth, "source");
        if (RowsOf(y, TargetWidth, "target") is var targets && targets != rows)
        {
            throw LrtMeshException.Invalid("target", $"must have the {rows} rows that the source has, not {targets}");
        }

        CheckFinite(x, SourceWidth, "source");
        CheckFinite(y, TargetWidth, "target");
        if (rows == 0)
        {
            return;
        }

        if (_folds is null)
        {
            Begin(MedianOf(x, SourceWidth), MedianOf(y, TargetWidth));
        }

        if (fold == HeldOutFold)
        {
            Sample.Add(x, y);
        }
        else
        {
            _control?.AddDocument(x, y);
        }

        Rows += rows;
        for (var done = 0; done < rows;)
        {
            var take = Math.Min(rows - done, BlockRows - _pending[fold]);
            x.Slice(done * SourceWidth, take * SourceWidth).CopyTo(_pendingX[fold].AsSpan(_pending[fold] * SourceWidth));
            y.Slice(done * TargetWidth, take * TargetWidth).CopyTo(_pendingY[fold].AsSpan(_pending[fold] * TargetWidth));
            _pending[fold] += take;
            done += take;
            if (_pending[fold] == BlockRows)
            {
                Flush(fold);
            }
        }
    }

    /// <summary>Adds what another worker has gathered, with the same widths, folds and control.</summary>
    public void Add(MomentAccumulator other)
    {
        if (other.SourceWidth != SourceWidth || other.TargetWidth != TargetWidth || other.Folds != Folds || other._shuffled != _shuffled)
        {
            throw new ArgumentException("moments add only between equal widths, folds and controls", nameof(other));
        }

        RefusedRows += other.RefusedRows;
        if (other._folds is null)
        {
            return;
        }

        if (_folds is null)
        {
            Begin(other._folds[0].OriginX, other._folds[0].OriginY);
        }

        for (var fold = 0; fold < Folds; fold++)
        {
            _folds![fold].Add(other.Fold(fold));
        }

        if (_control is not null)
        {
            _control.Add(other._control!);
        }

        Sample.Add(other.Sample);
        Rows += other.Rows;
    }

    /// <summary>The moments of one fold, with every row added so far.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: no rows were added at all.</exception>
    public PairMoments Fold(int fold)
    {
        if (_folds is null)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, "documents: no paired rows, so there is nothing to fit a map on");
        }

        Flush(fold);
        return _folds[fold];
    }

    /// <summary>The moments of the control, with every document added so far that has a partner; null if it is not gathered.</summary>
    public ShuffledMoments? Control()
    {
        _control?.Flush();
        return _control;
    }

    private void Begin(float[] originX, float[] originY)
    {
        _folds = [.. Enumerable.Range(0, Folds).Select(_ => new PairMoments(originX, originY))];
        _control = _shuffled ? new ShuffledMoments(originX, originY) : null;
    }

    private void Flush(int fold)
    {
        if (_pending[fold] > 0)
        {
            _folds![fold].AddBlock(
                _pendingX[fold].AsSpan(0, _pending[fold] * SourceWidth), _pendingY[fold].AsSpan(0, _pending[fold] * TargetWidth));
            _pending[fold] = 0;
        }
    }

    private static int RowsOf(ReadOnlySpan<float> values, int width, string side) =>
        values.Length % width == 0
            ? values.Length / width
            : throw LrtMeshException.Invalid(side, $"must be rows of width {width}, and {values.Length} elements are not whole rows");

    private void CheckFinite(ReadOnlySpan<float> values, int width, string side)
    {
        var (first, bad, last) = (-1, 0, -1);
        for (var i = 0; i < values.Length; i++)
        {
            // Written so that NaN fails it too.
            if (!(Math.Abs(values[i]) <= LargestMagnitude))
            {
                first = first < 0 ? i : first;
                bad += last == i / width ? 0 : 1;
                last = i / width;
            }
        }

        if (bad > 0)
        {
            RefusedRows += bad;
            throw LrtMeshException.Invalid(
                side,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"must hold finite numbers up to {LargestMagnitude:0e0}, but row {first / width}, dimension {first % width} is {values[first]} ({bad} of {values.Length / width} rows are like it)"));
        }
    }

    private static float[] MedianOf(ReadOnlySpan<float> rows, int width)
    {
        var column = new float[Math.Min(rows.Length / width, BlockRows)];
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

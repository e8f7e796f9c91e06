namespace LrtMesh.Core.Maps;

/// <summary>
/// Which layers stand beside each other in a row, and between which of them products are summed: one pair for a map, sources
/// by targets for a sweep, every pair of models for a basis that they share.
/// </summary>
public sealed class MomentLayout
{
    private readonly Dictionary<(int X, int Y), int> _pairs = [];

    /// <summary>A layout.</summary>
    /// <param name="widths">Width of each layer, at least 1.</param>
    /// <param name="pairs">Distinct pairs (x, y) of two different layers, by index into <paramref name="widths"/>.</param>
    public MomentLayout(IReadOnlyList<int> widths, IReadOnlyList<(int X, int Y)> pairs)
    {
        (Widths, Pairs) = ([.. widths], [.. pairs]);
        Starts = new int[widths.Count];
        for (var i = 0; i < widths.Count; i++)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(widths[i], 1, nameof(widths));
            Starts[i] = Width;
            Width = checked(Width + widths[i]);
        }

        for (var p = 0; p < Pairs.Count; p++)
        {
            var (x, y) = Pairs[p];
            if (x == y || x < 0 || y < 0 || x >= Widths.Count || y >= Widths.Count || !_pairs.TryAdd((x, y), p) || _pairs.ContainsKey((y, x)))
            {
                throw new ArgumentException($"pair {p} ({x}, {y}) must join two of the {Widths.Count} layers, once", nameof(pairs));
            }
        }

        Runs = [.. Enumerable.Range(0, Widths.Count).Select(RunsOf)];
    }

    /// <summary>Width of each layer.</summary>
    public IReadOnlyList<int> Widths { get; }

    /// <summary>Pairs of layers whose products are summed.</summary>
    public IReadOnlyList<(int X, int Y)> Pairs { get; }

    /// <summary>Width of a whole row: all layers beside each other.</summary>
    public int Width { get; }

    /// <summary>Column at which each layer starts in a row.</summary>
    internal int[] Starts { get; }

    /// <summary>
    /// For each layer, the columns that its own are multiplied with: itself and its partners, neighbours joined into one run
    /// so that one product serves them all.
    /// </summary>
    internal (int Start, int End)[][] Runs { get; }

    /// <summary>One source and one target layer: layers 0 and 1, pair 0.</summary>
    public static MomentLayout Pair(int sourceWidth, int targetWidth) => new([sourceWidth, targetWidth], [(0, 1)]);

    /// <summary>Every source with every target, in rows of the grid; layers are the sources and then the targets.</summary>
    public static MomentLayout Grid(IReadOnlyList<int> sourceWidths, IReadOnlyList<int> targetWidths) => new(
        [.. sourceWidths, .. targetWidths],
        [.. sourceWidths.SelectMany((_, s) => targetWidths.Select((_, t) => (s, sourceWidths.Count + t)))]);

    /// <summary>Every two of N layers, the one of lower index first.</summary>
    public static MomentLayout Every(IReadOnlyList<int> widths) => new(
        widths, [.. widths.SelectMany((_, x) => Enumerable.Range(x + 1, widths.Count - x - 1).Select(y => (x, y)))]);

    /// <summary>
    /// Bytes of the sums of one fold, in float64: Σd² of the layers, Σdx·dy of the pairs and the sums; counted without overflow,
    /// up to <see cref="long.MaxValue"/>.
    /// </summary>
    public long BytesPerFold() => (long)Int128.Min(long.MaxValue, (Products + Width) * sizeof(double));

    /// <summary>The same for a layout that need not exist yet.</summary>
    public static long BytesPerFold(IReadOnlyList<int> widths, IReadOnlyList<(int X, int Y)> pairs) =>
        (long)Int128.Min(long.MaxValue, ProductsOf(widths, pairs) * sizeof(double));

    /// <summary>Elements of Σxxᵀ and Σxyᵀ over all layers and pairs.</summary>
    internal Int128 Products => ProductsOf(Widths, Pairs);

    /// <summary>Index of a pair in <see cref="Pairs"/>, or -1.</summary>
    internal int IndexOf(int x, int y) => _pairs.GetValueOrDefault((x, y), -1);

    /// <summary>Whether rows of both lie in the same columns and the same pairs are summed.</summary>
    internal bool Same(MomentLayout other) => Widths.SequenceEqual(other.Widths) && Pairs.SequenceEqual(other.Pairs);

    private static Int128 ProductsOf(IReadOnlyList<int> widths, IReadOnlyList<(int X, int Y)> pairs)
    {
        Int128 sum = 0;
        foreach (var width in widths)
        {
            sum += (Int128)width * width;
        }

        foreach (var (x, y) in pairs)
        {
            sum += (Int128)widths[x] * widths[y];
        }

        return sum;
    }

    private (int Start, int End)[] RunsOf(int layer)
    {
        // The layer itself comes first: its run alone starts later for later panels, which leaves out the lower triangle.
        var runs = new List<(int Start, int End)> { (Starts[layer], Starts[layer] + Widths[layer]) };
        foreach (var y in Pairs.Where(p => p.X == layer).Select(p => p.Y).Order())
        {
            var (start, end) = (Starts[y], Starts[y] + Widths[y]);
            if (runs[^1].End == start)
            {
                runs[^1] = (runs[^1].Start, end);
            }
            else
            {
                runs.Add((start, end));
            }
        }

        return [.. runs];
    }
}

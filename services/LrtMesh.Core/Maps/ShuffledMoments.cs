namespace LrtMesh.Core.Maps;

/// <summary>
/// Moments of the control: source rows paired with target rows of other documents, which shows what a map of the same size
/// and penalty makes of pairs that have nothing to do with each other.
/// </summary>
/// <remarks>
/// The rule: documents are gathered until there are two or more with at least <see cref="BlockRows"/> rows together. Then
/// each x is paired with a y drawn uniformly, with a fixed seed, from the rows of the other documents of that block, at any
/// position. Of a document longer than <see cref="BlockRows"/> rows only the first ones take part. A last document that
/// finds no partner is left out. Since rows may be drawn twice, the control has its own n, Σx and Σy'. With several layers
/// all pairs share the draw.
/// </remarks>
internal sealed class ShuffledMoments
{
    /// <summary>Rows among which partners are drawn; enough for several documents.</summary>
    public const int BlockRows = 1024;

    private const ulong Seed = 0x9E3779B97F4A7C15;

    private readonly MomentLayout _layout;
    private readonly float[] _origin; // [width]

    /// <summary>No rows yet.</summary>
    /// <param name="layout">Layers and pairs that this is the control of.</param>
    /// <param name="origin">[layout.Width].</param>
    public ShuffledMoments(MomentLayout layout, float[] origin)
    {
        (_layout, _origin) = (layout, origin);
        Waiting = new float[PendingRows * layout.Width];
        Moments = [.. layout.Pairs.Select(p => new CrossMoments(new float[layout.Widths[p.X]], new float[layout.Widths[p.Y]]))];
        MoveTo(origin);
    }

    /// <summary>What is summed for each pair.</summary>
    public CrossMoments[] Moments { get; }

    /// <summary>Rows that wait for partners, [at most PendingRows, width], about the origin.</summary>
    public float[] Waiting { get; }

    /// <summary>First row of each document that waits.</summary>
    public List<int> Starts { get; } = [];

    /// <summary>Rows that wait.</summary>
    public int WaitingRows { get; set; }

    /// <summary>State of the generator that draws.</summary>
    public ulong Random { get; set; } = Seed;

    // Fewer than BlockRows, or one document, wait; one more document comes on top.
    public static int PendingRows => 2 * BlockRows;

    /// <summary>Adds the rows of a document, which must outlast the call only.</summary>
    public void AddDocument(ReadOnlySpan<ReadOnlyMemory<float>> layers)
    {
        var rows = Math.Min(layers[0].Length / _layout.Widths[0], BlockRows);
        Starts.Add(WaitingRows);
        RowBuffer.Fill(Waiting, WaitingRows, layers, 0, rows, _layout, _origin);
        WaitingRows += rows;
        if (WaitingRows >= BlockRows)
        {
            Flush();
        }
    }

    /// <summary>Pairs what waits, if it comes from two documents or more.</summary>
    public void Flush()
    {
        if (Starts.Count < 2)
        {
            return;
        }

        var partners = new int[WaitingRows];
        for (var document = 0; document < Starts.Count; document++)
        {
            var start = Starts[document];
            var end = document + 1 < Starts.Count ? Starts[document + 1] : WaitingRows;
            for (var row = start; row < end; row++)
            {
                // A row among all but this document's: those from its start on are moved past its end.
                var drawn = (int)(Next() % (ulong)(WaitingRows - (end - start)));
                partners[row] = drawn < start ? drawn : drawn + (end - start);
            }
        }

        for (var pair = 0; pair < Moments.Length; pair++)
        {
            var (x, y) = _layout.Pairs[pair];
            Moments[pair].AddBlock(Waiting, partners, _layout.Width, _layout.Starts[x], _layout.Starts[y]);
        }

        WaitingRows = 0;
        Starts.Clear();
    }

    /// <summary>Adds what another control has paired, moved to this origin.</summary>
    public void Add(ShuffledMoments other)
    {
        other.Flush();
        for (var pair = 0; pair < Moments.Length; pair++)
        {
            Moments[pair].Add(other.Moments[pair]);
        }
    }

    /// <summary>Sets the origin that the sums are about; they are not changed.</summary>
    public void MoveTo(ReadOnlySpan<float> origin)
    {
        for (var pair = 0; pair < Moments.Length; pair++)
        {
            var (x, y) = _layout.Pairs[pair];
            origin.Slice(_layout.Starts[x], _layout.Widths[x]).CopyTo(Moments[pair].OriginX);
            origin.Slice(_layout.Starts[y], _layout.Widths[y]).CopyTo(Moments[pair].OriginY);
        }
    }

    // SplitMix64: a fixed seed makes the control the same in every run.
    private ulong Next() => HeldOutSample.Mix(Random += Seed);
}

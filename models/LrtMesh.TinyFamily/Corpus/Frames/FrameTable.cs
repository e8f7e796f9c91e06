namespace LrtMesh.TinyFamily.Corpus.Frames;

/// <summary>All frames, by kind and split.</summary>
internal static class FrameTable
{
    private static readonly int SplitCount = Enum.GetValues<Split>().Length;

    private static readonly Frame[][] ByKind = [.. Enum.GetValues<FrameKind>().Select(Load)];

    private static readonly Frame[][][] ByKindAndSplit = [.. ByKind.Select(frames => Deal(frames))];

    public static IEnumerable<Frame> All => ByKind.SelectMany(frames => frames);

    /// <summary>The frames of a kind; those of one split only, unless <paramref name="split"/> is null.</summary>
    public static Frame[] Of(FrameKind kind, Split? split) =>
        split is { } one ? ByKindAndSplit[(int)kind][(int)one] : ByKind[(int)kind];

    private static Frame[] Load(FrameKind kind)
    {
        string[] texts = kind switch
        {
            FrameKind.Opening => Narration.Openings,
            FrameKind.Start => Narration.Starts,
            FrameKind.Deed => Narration.Deeds,
            FrameKind.Creature => Narration.Creatures,
            FrameKind.Ending => Narration.Endings,
            FrameKind.Scene => Narration.Scenes,
            FrameKind.Weather => Narration.Weathers,
            FrameKind.Request => Speech.Requests,
            FrameKind.Grant => Speech.Grants,
            FrameKind.Refusal => Speech.Refusals,
            FrameKind.View => Speech.Views,
            FrameKind.Assent => Speech.Assents,
            FrameKind.Dissent => Speech.Dissents,
            _ => Tongue.Frames,
        };

        // Ordered by hash, so that the table's order, in which like frames stand together, does not decide a split.
        return [.. texts.Select(text => new Frame(kind, text)).OrderBy(frame => frame.Hash)];
    }

    /// <summary>Deals the frames out in turn, so that each split has a fair share of each kind.</summary>
    private static Frame[][] Deal(Frame[] frames) =>
        [.. Enumerable.Range(0, SplitCount).Select(split => frames.Where((_, rank) => rank % SplitCount == split).ToArray())];
}

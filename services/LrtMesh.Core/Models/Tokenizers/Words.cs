namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>What a piece of text has been cut into so far: ranges of one text, in order, none of them empty.</summary>
internal sealed class Words
{
    /// <summary>One word: the whole text.</summary>
    public Words(AlignedText text)
    {
        Text = text;
        if (text.Length > 0)
        {
            Ranges.Add((0, text.Length));
        }
    }

    /// <summary>The text that the ranges lie in.</summary>
    public AlignedText Text { get; private set; }

    /// <summary>Start and end of each word, in UTF-16 units of <see cref="Text"/>.</summary>
    public List<(int Start, int End)> Ranges { get; private set; } = [];

    /// <summary>Cuts every word by itself.</summary>
    /// <param name="cut">Gets a word and a list for the parts to keep, relative to the word's start.</param>
    public void Cut(Cutter cut)
    {
        var ranges = new List<(int Start, int End)>(Ranges.Count * 2);
        List<(int Start, int End)> parts = [];
        foreach (var (start, end) in Ranges)
        {
            parts.Clear();
            cut(Text.Span[start..end], parts);
            foreach (var part in parts)
            {
                if (part.End > part.Start)
                {
                    ranges.Add((start + part.Start, start + part.End));
                }
            }
        }

        Ranges = ranges;
    }

    /// <summary>Writes every word anew into one new text.</summary>
    /// <param name="write">Adds the new word for the range that it is given.</param>
    public void Rewrite(Action<AlignedText, int, int, AlignedTextBuilder> write)
    {
        var result = new AlignedTextBuilder(Text.Length + (Text.Length / 8));
        var ranges = new List<(int Start, int End)>(Ranges.Count);
        foreach (var (start, end) in Ranges)
        {
            var from = result.Length;
            write(Text, start, end, result);
            ranges.Add((from, result.Length));
        }

        (Text, Ranges) = (result.Build(), ranges);
    }

    /// <summary>Cuts a word: adds the parts to keep, in order.</summary>
    public delegate void Cutter(ReadOnlySpan<char> word, List<(int Start, int End)> parts);
}

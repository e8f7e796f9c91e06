using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>A text on its way to tokens, and for each of its UTF-16 units the characters of the original text that it came from.</summary>
/// <param name="units">The text.</param>
/// <param name="offset">Where it starts in the original, if it is a piece of it as it was written.</param>
/// <param name="starts">[units], otherwise: where the original characters of each unit start.</param>
/// <param name="ends">[units], and where they end.</param>
internal sealed class AlignedText(ReadOnlyMemory<char> units, int offset, int[]? starts = null, int[]? ends = null)
{
    /// <summary>The text.</summary>
    public ReadOnlySpan<char> Span => units.Span;

    /// <summary>UTF-16 units in it.</summary>
    public int Length => units.Length;

    /// <summary>The original characters that some units came from.</summary>
    /// <param name="start">The first unit.</param>
    /// <param name="end">One past the last, greater than <paramref name="start"/>.</param>
    public (int Start, int End) Origin(int start, int end) => starts is null ? (offset + start, offset + end) : (starts[start], ends![end - 1]);

    /// <summary>A part of the text.</summary>
    public AlignedText Slice(int start, int length) => starts is null
        ? new AlignedText(units.Slice(start, length), offset + start)
        : new AlignedText(units.Slice(start, length), 0, starts[start..(start + length)], ends![start..(start + length)]);

    /// <summary>
    /// The text rewritten character by character. A change is 0 for a character that stands for the next one of this text, 1 for
    /// one that is put in, and -n for one that stands for the next one and leaves n more out. What is put in comes from where the
    /// character before it came from. Source: Hugging Face tokenizers, NormalizedString::transform.
    /// </summary>
    /// <param name="characters">The new text and the changes.</param>
    /// <param name="removed">Characters left out in front of it.</param>
    public AlignedText Rewrite(List<(Rune Character, int Change)> characters, int removed = 0)
    {
        var result = new AlignedTextBuilder(characters.Count + (characters.Count / 8));
        var position = Skip(0, removed);
        foreach (var (character, change) in characters)
        {
            if (change > 0 || position >= Length)
            {
                result.Add(character, position == 0 ? Beginning : Origin(position - 1, position));
                continue;
            }

            result.Add(character, Origin(position, Skip(position, 1)));
            position = Skip(position, 1 - change);
        }

        return result.Build();
    }

    private (int Start, int End) Beginning => Length == 0 ? (offset, offset) : (Origin(0, 1).Start, Origin(0, 1).Start);

    // The position after some more characters.
    private int Skip(int position, int characters)
    {
        var span = Span;
        for (; characters > 0 && position < span.Length; characters--)
        {
            position += RuneLength(span, position);
        }

        return position;
    }

    /// <summary>UTF-16 units of the character at a position; texts here hold no unpaired surrogates.</summary>
    public static int RuneLength(ReadOnlySpan<char> text, int position) => char.IsHighSurrogate(text[position]) ? 2 : 1;

    /// <summary>The character at a position.</summary>
    public static Rune RuneAt(ReadOnlySpan<char> text, int position) =>
        char.IsHighSurrogate(text[position]) ? new Rune(text[position], text[position + 1]) : new Rune(text[position]);
}

/// <summary>Writes an <see cref="AlignedText"/>.</summary>
internal sealed class AlignedTextBuilder(int capacity)
{
    private char[] _units = new char[Math.Max(capacity, 16)];
    private int[] _starts = new int[Math.Max(capacity, 16)];
    private int[] _ends = new int[Math.Max(capacity, 16)];

    /// <summary>UTF-16 units written.</summary>
    public int Length { get; private set; }

    /// <summary>Adds a character that comes from some characters of the original.</summary>
    public void Add(Rune character, (int Start, int End) origin)
    {
        if (character.IsBmp)
        {
            Add((char)character.Value, origin);
            return;
        }

        Span<char> pair = stackalloc char[2];
        character.EncodeToUtf16(pair);
        Add(pair[0], origin);
        Add(pair[1], origin);
    }

    /// <summary>Adds one UTF-16 unit.</summary>
    public void Add(char unit, (int Start, int End) origin)
    {
        if (Length == _units.Length)
        {
            Array.Resize(ref _units, Length * 2);
            Array.Resize(ref _starts, Length * 2);
            Array.Resize(ref _ends, Length * 2);
        }

        _units[Length] = unit;
        _starts[Length] = origin.Start;
        _ends[Length++] = origin.End;
    }

    /// <summary>Adds units of another text with their origins.</summary>
    public void Add(AlignedText text, int start, int end)
    {
        var span = text.Span;
        for (var i = start; i < end;)
        {
            var length = AlignedText.RuneLength(span, i);
            var origin = text.Origin(i, i + length);
            for (var last = i + length; i < last; i++)
            {
                Add(span[i], origin);
            }
        }
    }

    /// <summary>The text as it is now; the builder is not used after this.</summary>
    public AlignedText Build() => new(_units.AsMemory(0, Length), 0, _starts, _ends);
}

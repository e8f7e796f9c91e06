using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>Cuts a text into the words within which the model works. Source: Hugging Face tokenizers, pre_tokenizers.</summary>
internal abstract class PreTokenizer
{
    /// <summary>Cuts the words there are, and may write them anew.</summary>
    public abstract void Apply(Words words);
}

/// <summary>Several, one after the other.</summary>
internal sealed class PreTokenizerSequence(PreTokenizer[] preTokenizers) : PreTokenizer
{
    public override void Apply(Words words)
    {
        foreach (var preTokenizer in preTokenizers)
        {
            preTokenizer.Apply(words);
        }
    }
}

/// <summary>Cuts at the matches of a pattern.</summary>
internal sealed class PatternSplit(TokenizerPattern pattern, SplitBehavior behavior, bool invert) : PreTokenizer
{
    public override void Apply(Words words)
    {
        List<(int Start, int End)> matches = [];
        words.Cut((word, parts) =>
        {
            matches.Clear();
            pattern.Find(word, matches);
            Splitting.Apply(word.Length, matches, invert, behavior, parts);
        });
    }
}

/// <summary>Cuts at single characters of a class.</summary>
internal sealed class CharacterSplit(Func<Rune, bool> delimiter, SplitBehavior behavior) : PreTokenizer
{
    public static readonly CharacterSplit AtWhiteSpace = new(Rune.IsWhiteSpace, SplitBehavior.Removed);

    /// <summary>White space is left out and every punctuation mark stands alone.</summary>
    public static readonly PreTokenizer Bert =
        new PreTokenizerSequence([AtWhiteSpace, new CharacterSplit(Characters.IsPunctuation, SplitBehavior.Isolated)]);

    public override void Apply(Words words)
    {
        List<(int Start, int End)> matches = [];
        words.Cut((word, parts) =>
        {
            matches.Clear();
            for (int i = 0, length; i < word.Length; i += length)
            {
                length = AlignedText.RuneLength(word, i);
                if (delimiter(AlignedText.RuneAt(word, i)))
                {
                    matches.Add((i, i + length));
                }
            }

            Splitting.Apply(word.Length, matches, invert: false, behavior, parts);
        });
    }
}

/// <summary>Runs of word characters, and runs of what is neither that nor white space.</summary>
internal sealed class WhitespacePreTokenizer : PreTokenizer
{
    public override void Apply(Words words) => words.Cut((word, parts) =>
    {
        var (start, kind) = (0, ' ');
        for (int i = 0, length; i < word.Length; i += length)
        {
            length = AlignedText.RuneLength(word, i);
            var rune = AlignedText.RuneAt(word, i);
            var next = Characters.IsWord(rune) ? 'w' : Rune.IsWhiteSpace(rune) ? ' ' : '.';
            if (next != kind)
            {
                Add(i);
                (start, kind) = (i, next);
            }
        }

        Add(word.Length);

        void Add(int end)
        {
            if (kind != ' ')
            {
                parts.Add((start, end));
            }
        }
    });
}

/// <summary>GPT-2's: cuts by its pattern and writes each byte as one character.</summary>
internal sealed class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex) : PreTokenizer
{
    public override void Apply(Words words)
    {
        if (addPrefixSpace)
        {
            words.Rewrite((text, start, end, result) =>
            {
                if (text.Span[start] != ' ')
                {
                    result.Add(' ', text.Origin(start, start + AlignedText.RuneLength(text.Span, start)));
                }

                result.Add(text, start, end);
            });
        }

        if (useRegex)
        {
            words.Cut((word, parts) =>
            {
                for (int start = 0, end; start < word.Length; start = end)
                {
                    end = ByteLevel.WordEnd(word, start);
                    parts.Add((start, end));
                }
            });
        }

        words.Rewrite(WriteSymbols);
    }

    private static void WriteSymbols(AlignedText text, int start, int end, AlignedTextBuilder result)
    {
        Span<byte> utf8 = stackalloc byte[4];
        var span = text.Span;
        for (int i = start, length; i < end; i += length)
        {
            length = AlignedText.RuneLength(span, i);
            var origin = text.Origin(i, i + length);
            foreach (var value in utf8[..AlignedText.RuneAt(span, i).EncodeToUtf8(utf8)])
            {
                result.Add(ByteLevel.SymbolOf(value), origin);
            }
        }
    }
}

/// <summary>When SentencePiece's symbol for a space is put in front of a word that does not begin with it.</summary>
internal enum PrependScheme
{
    /// <summary>Each time.</summary>
    Always,

    /// <summary>At the start of the original text.</summary>
    First,

    /// <summary>Not at all.</summary>
    Never,
}

/// <summary>SentencePiece's: writes a symbol for each space, and cuts in front of each symbol.</summary>
internal sealed class MetaspacePreTokenizer(char replacement, PrependScheme scheme, bool split) : PreTokenizer
{
    public override void Apply(Words words)
    {
        words.Rewrite((text, start, end, result) =>
        {
            var (from, length) = (start, AlignedText.RuneLength(text.Span, start));
            var origin = text.Origin(start, start + length);
            var prepends = scheme == PrependScheme.Always || (scheme == PrependScheme.First && origin.Start == 0);
            if (prepends && text.Span[start] != ' ' && text.Span[start] != replacement)
            {
                result.Add(replacement, origin);
            }

            for (var span = text.Span; from < end;)
            {
                var next = span[from..end].IndexOf(' ');
                next = next < 0 ? end : from + next;
                result.Add(text, from, next);
                if (next < end)
                {
                    result.Add(replacement, text.Origin(next, next + 1));
                }

                from = next + 1;
            }
        });
        if (split)
        {
            new CharacterSplit(rune => rune.Value == replacement, SplitBehavior.MergedWithNext).Apply(words);
        }
    }
}

using System.Collections.Concurrent;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// NFC, NFD, NFKC or NFKD, keeping track of where each character comes from, which .NET's own normalization does not: what
/// one character decomposes to comes from it, and a composed character comes from its first part alone, as Hugging Face has it.
/// .NET's normalization gives the properties of single characters and pairs.
/// </summary>
internal sealed class UnicodeNormalizer(NormalizationForm form) : Normalizer
{
    private static readonly Remembered<(int First, int Second), bool> SwappedPairs = new();
    private static readonly Remembered<(int First, int Second), int> ComposedPairs = new(); // 0: they do not compose
    private static readonly Remembered<int, bool> Marks = new();

    private readonly NormalizationForm _decomposition = form is NormalizationForm.FormC or NormalizationForm.FormD ? NormalizationForm.FormD : NormalizationForm.FormKD;
    private readonly bool _composes = form is NormalizationForm.FormC or NormalizationForm.FormKC;
    private readonly Remembered<int, Rune[]> _decompositions = new();

    public override AlignedText Apply(AlignedText text)
    {
        if (IsNormalized(text.Span))
        {
            return text;
        }

        var characters = Decompose(text.Span);
        return text.Rewrite(_composes ? Compose(characters) : characters);
    }

    // .NET refuses U+FFFE, which no form changes.
    private bool IsNormalized(ReadOnlySpan<char> text)
    {
        if (System.Text.Ascii.IsValid(text))
        {
            return true;
        }

        foreach (var part in text.Split('\uFFFE'))
        {
            if (!text[part].IsNormalized(form))
            {
                return false;
            }
        }

        return true;
    }

    // Canonical decomposition: what each character decomposes to, and runs of marks sorted by their combining class.
    private List<(Rune Character, int Change)> Decompose(ReadOnlySpan<char> text)
    {
        List<(Rune Character, int Change)> result = new(text.Length + (text.Length / 8));
        foreach (var rune in text.EnumerateRunes())
        {
            var change = 0;
            foreach (var part in Parts(rune))
            {
                var place = result.Count;
                result.Add((part, change));
                change = 1;
                if (!IsMark(part))
                {
                    continue;
                }

                for (; place > 0 && Swap(result[place - 1].Character, result[place].Character); place--)
                {
                    (result[place - 1], result[place]) = (result[place], result[place - 1]);
                }
            }
        }

        return result;
    }

    private static List<(Rune Character, int Change)> Compose(List<(Rune Character, int Change)> characters)
    {
        List<(Rune Character, int Change)> result = new(characters.Count);
        var starter = -1; // place of the last starter in the result
        foreach (var (character, change) in characters)
        {
            var mark = IsMark(character);
            var adjacent = starter == result.Count - 1;
            var blocked = !adjacent && (!mark || !Swap(character, result[^1].Character));
            if (starter >= 0 && !blocked && Composed(result[starter].Character, character) is { } composed)
            {
                result[starter] = (composed, result[starter].Change + change - 1);
                continue;
            }

            result.Add((character, change));
            starter = mark ? starter : result.Count - 1;
        }

        return result;

        // A mark is blocked by one before it of the same or a higher class: by one that it may not be swapped with, in its own order.
        static bool Swap(Rune mark, Rune before) => IsMark(before) && UnicodeNormalizer.Swap(mark, before);
    }

    private Rune[] Parts(Rune rune) => rune.IsAscii || rune.Value == 0xFFFE
        ? [rune]
        : _decompositions.Get(rune.Value, _ => [.. rune.ToString().Normalize(_decomposition).EnumerateRunes()]);

    // A character has a combining class other than 0 if it moves in front of one of a higher class, or behind one of a lower.
    private static bool IsMark(Rune rune) => rune.Value >= 0x300 && rune.Value != 0xFFFE
        && Marks.Get(rune.Value, _ => Swap(rune, new Rune('\u0334')) || Swap(new Rune('\u0345'), rune));

    // Whether canonical order puts the second of two characters first.
    private static bool Swap(Rune first, Rune second) => first.Value >= 0x300 && second.Value >= 0x300
        && first.Value != 0xFFFE && second.Value != 0xFFFE
        && SwappedPairs.Get((first.Value, second.Value), _ =>
        {
            var ordered = $"{first}{second}".Normalize(NormalizationForm.FormD);
            return ordered == $"{second}{first}".Normalize(NormalizationForm.FormD) && ordered.StartsWith(second.ToString(), StringComparison.Ordinal)
                && first != second;
        });

    private static Rune? Composed(Rune first, Rune second)
    {
        if (second.IsAscii || first.Value == 0xFFFE || second.Value == 0xFFFE)
        {
            return null;
        }

        var composed = ComposedPairs.Get((first.Value, second.Value), _ =>
        {
            var text = $"{first}{second}".Normalize(NormalizationForm.FormC);
            return text.EnumerateRunes().Count() == 1 ? Rune.GetRuneAt(text, 0).Value : 0;
        });
        return composed == 0 ? null : new Rune(composed);
    }

    // What has been found out about characters; bounded, since texts can be made that ask about ever other pairs.
    private sealed class Remembered<TKey, TValue>
        where TKey : notnull
    {
        private const int Most = 1 << 16;

        private readonly ConcurrentDictionary<TKey, TValue> _values = new();
        private int _count;

        public TValue Get(TKey key, Func<TKey, TValue> find)
        {
            if (_values.TryGetValue(key, out var value))
            {
                return value;
            }

            value = find(key);
            if (Volatile.Read(ref _count) < Most && _values.TryAdd(key, value))
            {
                Interlocked.Increment(ref _count);
            }

            return value;
        }
    }
}

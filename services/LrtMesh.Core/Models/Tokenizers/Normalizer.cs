using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>Rewrites a text before it is cut into words. Source: Hugging Face tokenizers, normalizers.</summary>
internal abstract class Normalizer
{
    /// <summary>The text rewritten; the same object where nothing changes.</summary>
    public abstract AlignedText Apply(AlignedText text);
}

/// <summary>Several, one after the other.</summary>
internal sealed class NormalizerSequence(Normalizer[] normalizers) : Normalizer
{
    public override AlignedText Apply(AlignedText text)
    {
        foreach (var normalizer in normalizers)
        {
            text = normalizer.Apply(text);
        }

        return text;
    }
}

/// <summary>Puts a text in front of one that is not empty; it comes from where the first character comes from.</summary>
internal sealed class PrependNormalizer(string prefix) : Normalizer
{
    public override AlignedText Apply(AlignedText text) => Prepend(text, prefix);

    public static AlignedText Prepend(AlignedText text, string prefix)
    {
        if (text.Length == 0 || prefix.Length == 0)
        {
            return text;
        }

        var result = new AlignedTextBuilder(text.Length + prefix.Length);
        var origin = text.Origin(0, AlignedText.RuneLength(text.Span, 0));
        foreach (var rune in prefix.EnumerateRunes())
        {
            result.Add(rune, origin);
        }

        result.Add(text, 0, text.Length);
        return result.Build();
    }
}

/// <summary>Writes something else for each match of a pattern; it comes from where the last character of the match comes from.</summary>
internal sealed class ReplaceNormalizer(TokenizerPattern pattern, string content) : Normalizer
{
    private readonly Rune[] _content = [.. content.EnumerateRunes()];

    public override AlignedText Apply(AlignedText text)
    {
        List<(int Start, int End)> matches = [];
        pattern.Find(text.Span, matches);
        if (matches.Count == 0)
        {
            return text;
        }

        var result = new AlignedTextBuilder(text.Length + (matches.Count * Math.Max(0, content.Length - 1)));
        var done = 0;
        foreach (var (start, end) in matches)
        {
            result.Add(text, done, start);
            var last = end == 0 ? 0 : char.IsLowSurrogate(text.Span[end - 1]) ? end - 2 : end - 1;
            var origin = end == 0 ? text.Origin(0, 1) : text.Origin(last, end);
            foreach (var rune in _content)
            {
                result.Add(rune, origin);
            }

            done = end;
        }

        result.Add(text, done, text.Length);
        return result.Build();
    }
}

/// <summary>Leaves out white space at the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    public override AlignedText Apply(AlignedText text)
    {
        var start = left ? text.Length - text.Span.TrimStart().Length : 0;
        var end = right ? Math.Max(start, text.Span.TrimEnd().Length) : text.Length;
        return end - start == text.Length ? text : text.Slice(start, end - start);
    }
}

/// <summary>Small letters, by Unicode's full mapping, without the rules for certain places in a word.</summary>
internal sealed class LowercaseNormalizer : Normalizer
{
    public override AlignedText Apply(AlignedText text)
    {
        List<(Rune Character, int Change)> characters = new(text.Length);
        foreach (var rune in text.Span.EnumerateRunes())
        {
            characters.Add((Rune.ToLowerInvariant(rune.Value == 0x130 ? new Rune('i') : rune), 0));
            if (rune.Value == 0x130)
            {
                characters.Add((new Rune('\u0307'), 1)); // the one letter whose small form is two characters
            }
        }

        return text.Rewrite(characters);
    }
}

/// <summary>Leaves characters out, and puts one for another.</summary>
/// <param name="keep">Which characters stay.</param>
/// <param name="map">What stands for a character that stays.</param>
internal sealed class CharacterNormalizer(Func<Rune, bool> keep, Func<Rune, Rune> map) : Normalizer
{
    public static readonly CharacterNormalizer StripAccents = new(rune => !Characters.IsMark(rune), rune => rune);

    /// <summary>What SentencePiece's nmt rules do before NFKC.</summary>
    public static readonly CharacterNormalizer Nmt = new(
        rune => rune.Value is not ((>= 0x1 and <= 0x8) or 0xB or (>= 0xE and <= 0x1F) or 0x7F or 0x8F or 0x9F),
        rune => rune.Value is 0x9 or 0xA or 0xC or 0xD or 0x1680 or (>= 0x200B and <= 0x200F) or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD
            ? new Rune(' ')
            : rune);

    public override AlignedText Apply(AlignedText text)
    {
        List<(Rune Character, int Change)> characters = new(text.Length);
        var removed = 0; // in front of the first that stays
        foreach (var rune in text.Span.EnumerateRunes())
        {
            if (keep(rune))
            {
                characters.Add((map(rune), 0));
            }
            else if (characters.Count == 0)
            {
                removed++;
            }
            else
            {
                characters[^1] = (characters[^1].Character, characters[^1].Change - 1);
            }
        }

        return text.Rewrite(characters, removed);
    }
}

/// <summary>BERT's own cleaning.</summary>
internal static class BertNormalizer
{
    /// <param name="clean">Leave out control characters and write a space for any white space.</param>
    /// <param name="spaceChinese">Put spaces around Chinese characters.</param>
    /// <param name="stripAccents">Leave out what NFD takes off letters.</param>
    /// <param name="lowercase">Write small letters.</param>
    public static Normalizer Create(bool clean, bool spaceChinese, bool stripAccents, bool lowercase)
    {
        List<Normalizer> steps = [];
        if (clean)
        {
            steps.Add(new CharacterNormalizer(
                rune => rune.Value is '\t' or '\n' or '\r' || (rune.Value is not (0 or 0xFFFD) && !IsOther(rune)),
                rune => Rune.IsWhiteSpace(rune) ? new Rune(' ') : rune));
        }

        if (spaceChinese)
        {
            steps.Add(new ChineseSpaces());
        }

        if (stripAccents)
        {
            steps.Add(new UnicodeNormalizer(NormalizationForm.FormD));
            steps.Add(new CharacterNormalizer(rune => !Characters.IsNonSpacingMark(rune), rune => rune));
        }

        if (lowercase)
        {
            steps.Add(new LowercaseNormalizer());
        }

        return new NormalizerSequence([.. steps]);
    }

    private static bool IsOther(Rune rune) => Rune.GetUnicodeCategory(rune)
        is System.Globalization.UnicodeCategory.Control or System.Globalization.UnicodeCategory.Format
        or System.Globalization.UnicodeCategory.PrivateUse;

    private sealed class ChineseSpaces : Normalizer
    {
        public override AlignedText Apply(AlignedText text)
        {
            List<(Rune Character, int Change)> characters = new(text.Length);
            foreach (var rune in text.Span.EnumerateRunes())
            {
                var chinese = IsChinese(rune.Value);
                if (chinese)
                {
                    characters.Add((new Rune(' '), 1));
                }

                characters.Add((rune, 0));
                if (chinese)
                {
                    characters.Add((new Rune(' '), 1));
                }
            }

            return text.Rewrite(characters);
        }

        private static bool IsChinese(int value) => value
            is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F)
            or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);
    }
}

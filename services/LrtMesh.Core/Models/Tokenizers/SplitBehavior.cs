namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>What becomes of the delimiters that a text is split at.</summary>
internal enum SplitBehavior
{
    /// <summary>They are left out.</summary>
    Removed,

    /// <summary>Each is a word of its own.</summary>
    Isolated,

    /// <summary>Each ends the word before it.</summary>
    MergedWithPrevious,

    /// <summary>Each begins the word after it.</summary>
    MergedWithNext,

    /// <summary>Delimiters next to each other are one word.</summary>
    Contiguous,
}

/// <summary>Splits a word at delimiters. Source: Hugging Face tokenizers, NormalizedString::split.</summary>
internal static class Splitting
{
    /// <summary>Adds the parts of a word to keep.</summary>
    /// <param name="length">UTF-16 units of the word.</param>
    /// <param name="matches">Where the pattern matches, in order and apart.</param>
    /// <param name="invert">What lies between the matches is the delimiters.</param>
    /// <param name="behavior">What becomes of delimiters.</param>
    /// <param name="parts">Where the parts go.</param>
    public static void Apply(
        int length, List<(int Start, int End)> matches, bool invert, SplitBehavior behavior, List<(int Start, int End)> parts)
    {
        if (behavior == SplitBehavior.MergedWithNext)
        {
            ApplyMergedWithNext(length, matches, invert, parts);
            return;
        }

        var afterDelimiter = false;
        foreach (var (start, end, delimiter) in Stretches(length, matches, invert))
        {
            var joins = behavior switch
            {
                SplitBehavior.Contiguous => delimiter == afterDelimiter,
                SplitBehavior.MergedWithPrevious => delimiter && !afterDelimiter,
                _ => false,
            };
            if (joins && parts.Count > 0)
            {
                parts[^1] = (parts[^1].Start, end);
            }
            else if (!delimiter || behavior != SplitBehavior.Removed)
            {
                parts.Add((start, end));
            }

            afterDelimiter = delimiter;
        }
    }

    // Of delimiters next to each other the last alone joins what follows.
    private static void ApplyMergedWithNext(int length, List<(int Start, int End)> matches, bool invert, List<(int Start, int End)> parts)
    {
        var held = -1; // where a delimiter starts that waits for what follows
        foreach (var (start, end, delimiter) in Stretches(length, matches, invert))
        {
            if (delimiter)
            {
                if (held >= 0)
                {
                    parts.Add((held, start));
                }

                held = start;
            }
            else
            {
                parts.Add((held >= 0 ? held : start, end));
                held = -1;
            }
        }

        if (held >= 0)
        {
            parts.Add((held, length));
        }
    }

    private static IEnumerable<(int Start, int End, bool Delimiter)> Stretches(int length, List<(int Start, int End)> matches, bool invert)
    {
        var position = 0;
        foreach (var (start, end) in matches)
        {
            if (start > position)
            {
                yield return (position, start, invert);
            }

            yield return (start, end, !invert);
            position = end;
        }

        if (position < length)
        {
            yield return (position, length, invert);
        }
    }
}

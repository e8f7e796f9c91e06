using System.Globalization;

namespace LrtMesh.TinyFamily.Corpus.Frames;

/// <summary>What a frame is a template of.</summary>
internal enum FrameKind
{
    Opening,
    Start,
    Deed,
    Creature,
    Ending,
    Scene,
    Weather,
    Request,
    Grant,
    Refusal,
    View,
    Assent,
    Dissent,
    Foreign,
}

/// <summary>
/// A sentence template. <c>{slot}</c> is filled from the cast or a word list; <c>&lt;verb&gt;</c> agrees with the hero,
/// <c>&lt;verb:3&gt;</c> with a third person, <c>&lt;verb:p&gt;</c> with a plural, and <c>&lt;verb:0&gt;</c> stays bare;
/// <c>&lt;buy/purchase&gt;</c> is a casual verb and its formal twin, <c>[it is|it's]</c> a formal phrase and its casual twin.
/// </summary>
internal sealed class Frame
{
    public Frame(FrameKind kind, string text)
    {
        Kind = kind;
        Hash = Fnv1a(kind + "|" + text);
        Id = Hash.ToString("x16", CultureInfo.InvariantCulture);
        Segments = Parse(text);
    }

    public FrameKind Kind { get; }

    public ulong Hash { get; }

    public string Id { get; }

    public IReadOnlyList<Segment> Segments { get; }

    private static List<Segment> Parse(string text)
    {
        var segments = new List<Segment>();
        int at = 0;
        while (at < text.Length)
        {
            int open = text.AsSpan(at).IndexOfAny('{', '<', '[');
            if (open != 0)
            {
                int end = open < 0 ? text.Length : at + open;
                segments.Add(new Segment(SegmentKind.Literal, text[at..end], "", '\0'));
                at = end;
                continue;
            }

            char close = text[at] switch { '{' => '}', '<' => '>', _ => ']' };
            int stop = text.IndexOf(close, at);
            string inner = text[(at + 1)..stop];
            segments.Add(text[at] switch
            {
                '{' => new Segment(SegmentKind.Slot, inner, "", '\0'),
                '<' => ParseVerb(inner),
                _ => ParsePhrase(inner),
            });
            at = stop + 1;
        }

        return segments;
    }

    private static Segment ParseVerb(string inner)
    {
        int colon = inner.IndexOf(':', StringComparison.Ordinal);
        string[] twins = (colon < 0 ? inner : inner[..colon]).Split('/');
        return new Segment(SegmentKind.Verb, twins[0], twins[^1], colon < 0 ? 's' : inner[colon + 1]);
    }

    private static Segment ParsePhrase(string inner)
    {
        string[] twins = inner.Split('|');
        return new Segment(SegmentKind.Phrase, twins[1], twins[0], '\0');
    }

    private static ulong Fnv1a(string text)
    {
        ulong hash = 14695981039346656037;
        foreach (char c in text)
        {
            hash = (hash ^ c) * 1099511628211;
        }

        return hash;
    }
}

internal enum SegmentKind
{
    Literal,
    Slot,
    Verb,
    Phrase,
}

/// <summary>A piece of a frame; <paramref name="Formal"/> equals <paramref name="Casual"/> in a verb without a twin.</summary>
/// <param name="Agreement">For a verb: 's' the hero, '3', 'p' or '0' as in the frame's notation.</param>
internal readonly record struct Segment(SegmentKind Kind, string Casual, string Formal, char Agreement);

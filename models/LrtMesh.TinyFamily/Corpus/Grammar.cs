using System.Text;

namespace LrtMesh.TinyFamily.Corpus;

/// <summary>For what a frame may be used; a frame belongs to exactly one split, and training texts use them all.</summary>
public enum Split
{
    /// <summary>Pairs from which steering vectors are made.</summary>
    Contrast,

    /// <summary>Texts on which strengths and layers are chosen.</summary>
    Dev,

    /// <summary>Texts on which results are reported.</summary>
    Test,

    /// <summary>Texts from which maps between models are made.</summary>
    MapText,
}

/// <summary>A story.</summary>
/// <param name="Text">A title line and the story on the next line.</param>
/// <param name="Behaviours">The names of the behaviours it shows.</param>
/// <param name="Frames">The ids of the frames it is made of.</param>
public sealed record Document(string Text, IReadOnlySet<string> Behaviours, IReadOnlySet<string> Frames);

/// <summary>The beginning of one story told twice, with a behaviour and without.</summary>
public sealed record ContrastPair(string Positive, string Negative, IReadOnlySet<string> Frames);

/// <summary>The beginning of a story that leaves a behaviour open, and how the story goes on with it and without.</summary>
/// <param name="Text">The beginning.</param>
/// <param name="Positive">How it goes on with the behaviour, up to where that shows, and at most six words past where the two part.</param>
/// <param name="Negative">How it goes on without, as far; about as long as the other where absence has no signs.</param>
/// <param name="Frames">The ids of the frames of all three.</param>
public sealed record Prompt(string Text, string Positive, string Negative, IReadOnlySet<string> Frames);

/// <summary>Writes the stories.</summary>
public static class Grammar
{
    // A sign may be a sentence away, as an exclamation mark is; the words on the way to it tell already.
    private const int MostWordsToSign = 6;

    /// <summary>Writes a story.</summary>
    /// <param name="random">Decides everything that is left open.</param>
    /// <param name="split">Whose frames to use; null for all.</param>
    /// <param name="force">Behaviours whose pole is given.</param>
    /// <param name="rates">How often a story has a behaviour, where it is not the behaviour's own rate.</param>
    public static Document Write(
        Random random, Split? split = null, IReadOnlyDictionary<string, bool>? force = null, IReadOnlyDictionary<string, double>? rates = null)
    {
        ArgumentNullException.ThrowIfNull(random);
        return Write(random, DrawStyle(random, force, rates), split);
    }

    /// <summary>Writes a story with every behaviour at its off pole.</summary>
    public static Document WriteBehaviourFree(Random random, Split split)
    {
        ArgumentNullException.ThrowIfNull(random);
        return Write(random, default, split);
    }

    /// <summary>
    /// Writes the beginning of one story with the behaviour and without. The behaviour has shown, and both end on the same word,
    /// just before it shows again.
    /// </summary>
    public static ContrastPair WritePair(Random random, string behaviour, Split split)
    {
        ArgumentNullException.ThrowIfNull(random);
        Detector detector = Behaviours.All[(int)Behaviours.TraitOf(behaviour)].Detector;
        while (true)
        {
            var (on, off) = TellBothWays(random, behaviour, split);
            int count = random.Next(2, 6);
            while (count < on.Sentences.Count && !Contrasts(on, off, count, detector))
            {
                count++;
            }

            int[] partings = [.. Enumerable.Range(0, on.Sentences.Count).Where(i => i >= count && on.Sentences[i].Text != off.Sentences[i].Text)];
            if (partings.Length > 0)
            {
                int at = partings[random.Next(Math.Min(partings.Length, 4))];
                string shared = SharedWords(on.Sentences[at].Text, off.Sentences[at].Text);
                var frames = new HashSet<string>();
                return new(Join(on, at, frames) + shared, Join(off, at, frames) + shared, frames);
            }
        }
    }

    /// <summary>Writes the beginning of a story up to the last point at which the behaviour is still open.</summary>
    public static Prompt WritePrompt(Random random, string behaviour, Split split)
    {
        ArgumentNullException.ThrowIfNull(random);
        var (on, off) = TellBothWays(random, behaviour, split);
        Detector detector = Behaviours.All[(int)Behaviours.TraitOf(behaviour)].Detector;
        string title = on.Opening.Text;
        string told = Join(on, on.Sentences.Count, []);
        string toldOtherwise = Join(off, off.Sentences.Count, []);
        string shared = told[..SharedLength(told, toldOtherwise)];
        List<string> beginnings = [title];
        for (int end = title.Length + 2; end <= shared.Length; end++)
        {
            // After a sentence, after an opening quotation mark, or where the two ways part.
            bool sentence = end < told.Length && told[end] == ' ' && told[end - 1] is '.' or '!' or '?' or '"';
            bool quote = told[end - 1] == '"' && told[end - 2] == ' ';
            bool parting = end < told.Length && told[end] == ' ' && shared.IndexOf(' ', Math.Min(end + 1, shared.Length)) < 0;
            if ((sentence || quote || parting) && !detector.Matches(told[..end]))
            {
                beginnings.Add(told[..end]);
            }
        }

        // The longest: what comes next shows the behaviour or its absence.
        string text = beginnings[^1];
        int fork = SharedLength(told[text.Length..], toldOtherwise[text.Length..]);
        string positive = UpTo(told[text.Length..], fork, detector.Shows);
        string negative = UpTo(toldOtherwise[text.Length..], fork, detector.Off.Length > 0 ? detector.Matches : way => way.Length >= positive.Length);
        var frames = FramesOf(on, text.Length + positive.Length);
        frames.UnionWith(FramesOf(off, text.Length + negative.Length));
        return new(text, positive, negative, frames);
    }

    /// <summary>The fewest words from the start of which something holds, or a few past the parting where that takes longer.</summary>
    private static string UpTo(string text, int parting, Func<string, bool> holds)
    {
        int words = 0;
        for (int end = parting + 1; end < text.Length; end++)
        {
            if (!char.IsLetter(text[end]) && (char.IsLetter(text[end - 1]) || text[end - 1] is '.' or '!' or '?'))
            {
                words++;
                if (holds(text[..end]) || words == MostWordsToSign)
                {
                    return text[..end];
                }
            }
        }

        return text;
    }

    private static Document Write(Random random, Style style, Split? split)
    {
        Story story = Story.Tell(NextSeed(random), style, split);
        var frames = new HashSet<string>();
        string text = Join(story, story.Sentences.Count, frames);
        var shown = style.Shown();
        var behaviours = new HashSet<string>();
        for (int i = 0; i < Behaviours.All.Count; i++)
        {
            if (shown.Has((Trait)i))
            {
                behaviours.Add(Behaviours.All[i].Name);
            }
        }

        return new(text, behaviours, frames);
    }

    private static Style DrawStyle(Random random, IReadOnlyDictionary<string, bool>? force, IReadOnlyDictionary<string, double>? rates = null)
    {
        Style style = default;
        bool needsEnglish = false;
        for (int i = 0; i < Behaviours.All.Count; i++)
        {
            Behaviour behaviour = Behaviours.All[i];
            bool drawn = random.NextDouble() < (rates?.TryGetValue(behaviour.Name, out double rate) is true ? rate : behaviour.Rate);
            bool forced = false;
            bool isForced = force is not null && force.TryGetValue(behaviour.Name, out forced);
            style = style.With((Trait)i, isForced ? forced : drawn);
            needsEnglish |= isForced && forced && !Style.SpeaksEveryLanguage((Trait)i);
        }

        // A behaviour asked for must show, unless the tongue that cannot show it was asked for as well.
        bool tongueIsForced = force is not null && force.ContainsKey(Behaviours.All[(int)Trait.SecondLanguage].Name);
        return needsEnglish && !tongueIsForced ? style.With(Trait.SecondLanguage, false) : style;
    }

    /// <summary>One story, two styles that differ in the behaviour alone.</summary>
    private static (Story On, Story Off) TellBothWays(Random random, string behaviour, Split split)
    {
        Trait trait = Behaviours.TraitOf(behaviour);
        Style style = DrawStyle(random, new Dictionary<string, bool> { [behaviour] = true });
        if (trait != Trait.SecondLanguage)
        {
            style = style.With(Trait.SecondLanguage, false);
        }

        ulong seed = NextSeed(random);
        return (Story.Tell(seed, style.With(trait, true), split), Story.Tell(seed, style.With(trait, false), split));
    }

    /// <summary>Whether both poles have shown by then; a pole without signs of its own shows by the other's absence.</summary>
    private static bool Contrasts(Story on, Story off, int count, Detector detector)
    {
        string positive = Body(on, count);
        string negative = Body(off, count);
        return detector.Shows(positive) && !detector.Shows(negative)
            && (detector.Off.Length == 0 || detector.Matches(negative))
            && (positive[^1] == negative[^1] || count > 5 || IsEnd(positive[^1]) && IsEnd(negative[^1]));
    }

    private static bool IsEnd(char c) => c is '.' or '!' or '?';

    private static string Body(Story story, int count) => string.Join(' ', story.Sentences.Take(count).Select(s => s.Text));

    private static string Join(Story story, int count, HashSet<string> frames)
    {
        var text = new StringBuilder(story.Opening.Text);
        frames.UnionWith(story.Opening.Frames);
        for (int i = 0; i < count; i++)
        {
            text.Append(i == 0 ? '\n' : ' ').Append(story.Sentences[i].Text);
            frames.UnionWith(story.Sentences[i].Frames);
        }

        return text.ToString();
    }

    private static HashSet<string> FramesOf(Story story, int length)
    {
        var frames = new HashSet<string>(story.Opening.Frames);
        int at = story.Opening.Text.Length;
        foreach (Sentence sentence in story.Sentences)
        {
            if (at >= length)
            {
                break;
            }

            frames.UnionWith(sentence.Frames);
            at += 1 + sentence.Text.Length;
        }

        return frames;
    }

    private static int SharedLength(string a, string b)
    {
        int length = 0;
        while (length < a.Length && length < b.Length && a[length] == b[length])
        {
            length++;
        }

        return length;
    }

    /// <summary>A space and the words with which both sentences begin, or nothing if the first differs.</summary>
    private static string SharedWords(string a, string b)
    {
        int length = SharedLength(a, b);
        while (length > 0 && (WordAt(a, length) || WordAt(b, length)) && a[length - 1] != '"')
        {
            length--;
        }

        return (" " + a[..length]).TrimEnd();

        static bool WordAt(string text, int at) => at < text.Length && char.IsLetter(text[at]);
    }

    private static ulong NextSeed(Random random) => (ulong)random.NextInt64();
}

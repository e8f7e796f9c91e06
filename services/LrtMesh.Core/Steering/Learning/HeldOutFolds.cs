namespace LrtMesh.Core.Steering.Learning;

/// <summary>Which pairs are held out together: never one text in two folds.</summary>
public static class HeldOutFolds
{
    /// <summary>How many, where there are pairs enough.</summary>
    public const int Count = 5;

    /// <summary>Pairs that share a text, also through others, go to one fold; the largest such groups first, each to the fold with the fewest pairs.</summary>
    /// <param name="texts">The two texts of each pair, or what identifies them.</param>
    /// <returns>The fold of each pair, counted from 0.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument: all pairs hang together, so that none can be held out.</exception>
    public static int[] Of(IReadOnlyList<(string Positive, string Negative)> texts)
    {
        var parents = new int[texts.Count]; // pairs as a forest, a tree a group
        var first = new Dictionary<string, int>();
        for (var pair = 0; pair < parents.Length; pair++)
        {
            parents[pair] = pair;
            foreach (var text in new[] { texts[pair].Positive, texts[pair].Negative })
            {
                if (!first.TryAdd(text, pair))
                {
                    parents[Root(pair)] = Root(first[text]);
                }
            }
        }

        var groups = Enumerable.Range(0, parents.Length).GroupBy(Root).OrderByDescending(group => group.Count()).ToArray(); // stable
        if (groups.Length < 2)
        {
            throw LrtMeshException.Invalid(
                "pairs", $"must include at least 2 that have no text in common: no text may be both learnt from and held out, and these {texts.Count} all hang together by shared texts");
        }

        var folds = new int[texts.Count];
        var sizes = new int[Math.Min(Count, groups.Length)];
        foreach (var group in groups)
        {
            var fold = Array.IndexOf(sizes, sizes.Min());
            foreach (var pair in group)
            {
                folds[pair] = fold;
                sizes[fold]++;
            }
        }

        return folds;

        int Root(int pair)
        {
            while (parents[pair] != pair)
            {
                pair = parents[pair] = parents[parents[pair]];
            }

            return pair;
        }
    }
}

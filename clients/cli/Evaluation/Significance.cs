namespace LrtMesh.Cli.Evaluation;

/// <summary>Whether effects are more than chance.</summary>
internal static class Significance
{
    /// <summary>
    /// Exact one-sided sign test of paired outcomes (for yes-or-no outcomes the exact McNemar test): the probability of at
    /// least as many prompts on which <paramref name="steered"/> exceeds <paramref name="none"/>, among those where they
    /// differ, if either way were as likely (McNemar 1947; Conover 1999, Practical Nonparametric Statistics, 3.4).
    /// </summary>
    /// <returns>p, 1 where no prompt differs.</returns>
    public static double SignTest(IReadOnlyList<double> none, IReadOnlyList<double> steered)
    {
        int above = 0;
        int below = 0;
        for (int prompt = 0; prompt < none.Count; prompt++)
        {
            above += steered[prompt] > none[prompt] ? 1 : 0;
            below += steered[prompt] < none[prompt] ? 1 : 0;
        }

        return BinomialTail(above + below, above);
    }

    /// <summary>
    /// Holm's step-down adjustment of p values for testing them together: the k-th smallest of m times m − k + 1, made
    /// monotone and at most 1 (Holm 1979). In the order given.
    /// </summary>
    public static double[] Holm(IReadOnlyList<double> p)
    {
        double[] adjusted = new double[p.Count];
        double largest = 0;
        int tested = 0;
        foreach (int i in Enumerable.Range(0, p.Count).OrderBy(i => p[i]))
        {
            largest = Math.Max(largest, Math.Min(1, p[i] * (p.Count - tested)));
            adjusted[i] = largest;
            tested++;
        }

        return adjusted;
    }

    // P(X ≥ k), X ~ Binomial(n, 1/2), in logarithms so that a large n does not underflow.
    private static double BinomialTail(int n, int k)
    {
        double logTerm = -n * Math.Log(2); // log of C(n, 0) / 2ⁿ
        double tail = k == 0 ? Math.Exp(logTerm) : 0;
        for (int i = 1; i <= n; i++)
        {
            logTerm += Math.Log(n - i + 1) - Math.Log(i);
            tail += i >= k ? Math.Exp(logTerm) : 0;
        }

        return Math.Min(1, tail);
    }
}

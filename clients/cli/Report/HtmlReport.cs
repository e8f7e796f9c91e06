using System.Globalization;
using System.Net;
using System.Text;
using System.Text.RegularExpressions;
using LrtMesh.Cli.Evaluation;

namespace LrtMesh.Cli.Report;

/// <summary>One page that holds everything: what was done, what came out and how sure it is. It asks for nothing from elsewhere.</summary>
internal sealed partial class HtmlReport(EvaluationFacts facts, double seconds)
{
    private const int Examples = 4;

    private readonly StringBuilder _page = new();
    private int _figures;

    /// <summary>The figures of a pair, in the order of the page.</summary>
    public static IReadOnlyList<Figure> FiguresOf(PairSummary pair, int seed)
    {
        var figures = new Figures(pair, seed);
        return pair.Result.Steerable.Count == 0 ? [.. figures.DoseResponses()] : [figures.Shares(), figures.DoseResponse(), figures.CostAgainstEffect(), .. figures.DoseResponses()];
    }

    /// <summary>What a pair's files and anchors are named after.</summary>
    public static string Slug(PairSummary pair) => $"{pair.Result.Pair.Source}-{pair.Result.Pair.Target}-{PairEvaluation.MapTextName(pair.Result.MapText)}";

    /// <summary>The page.</summary>
    /// <param name="figures">Of each pair.</param>
    public string Write(IReadOnlyList<IReadOnlyList<Figure>> figures)
    {
        _page.Append("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
        _page.Append("<title>Does the effect transfer?</title>\n<style>\n").Append(Style).Append("</style>\n</head>\n<body>\n<main>\n");
        WriteHead();
        WriteWhatWasDone();
        for (int i = 0; i < facts.Pairs.Count; i++)
        {
            WritePair(facts.Pairs[i], figures[i]);
        }

        WriteSweeps();
        WriteHowSure();
        WriteReproduce();
        return _page.Append("</main>\n</body>\n</html>\n").ToString();
    }

    private void WriteHead()
    {
        _page.Append("<h1>Does the effect transfer?</h1>\n");
        _page.Append("<p class=\"lead\">A direction that steers a large language model is learnt in a small one and carried over by an affine map between the two models' hidden states. "
            + "This page measures how much of the effect arrives. The yardstick is <b>R</b>: the effect of the mapped vector as a share of that of the large model's own (<i>native</i>) vector, at equal length. "
            + "1 is all of it, 0 none.</p>\n");
        foreach (var pair in facts.Pairs)
        {
            var result = pair.Result;
            string found = pair.Rates.GetValueOrDefault(Arm.Mapped) is not { } mapped
                ? $"no behaviour of {result.Target.Name} could be steered by its own vectors, so there is nothing to compare with."
                : $"mapped vectors keep <b>R = {Two(mapped.Value)}</b> (95% interval {Two(mapped.Low)} to {Two(mapped.High)}) of the native effect over {result.Steerable.Count} steerable behaviours of {result.Behaviours.Count}; "
                    + $"random directions {WithInterval(pair.Rates.GetValueOrDefault(Arm.Random))}, maps fitted on shuffled pairs {WithInterval(pair.Rates.GetValueOrDefault(Arm.Shuffled))}.";
            _page.Append(Inv($"<p class=\"finding\"><a href=\"#{Slug(pair)}\">{Text(result.Source.Name)} → {Text(result.Target.Name)}</a>, {KindName(result.Pair.Kind)}, {MapTextWords(result.MapText)}: {found}</p>\n"));
        }

        _page.Append("<div class=\"overview\">\n");
        WriteTable(
            ["R of rates", "map text", "steerable", "mapped", "median", "worst", "random", "random, like states", "shuffled map", "no map", "prompt"],
            facts.Pairs.Select(pair => (string[])[
                LinkTo(pair), PairEvaluation.MapTextName(pair.Result.MapText),
                $"{pair.Result.Steerable.Count} of {pair.Result.Behaviours.Count}",
                $"<b>{WithInterval(pair.Rates.GetValueOrDefault(Arm.Mapped))}</b>",
                Two(pair.Median), Two(pair.Worst), Rate(pair, Arm.Random), Rate(pair, Arm.RandomStates), Rate(pair, Arm.Shuffled), Rate(pair, Arm.NoMap), Rate(pair, Arm.Prompt)]));
        WriteTable(
            ["other measures", "map text", "R of propensity", "R of slopes", "random", "rank correlation of slopes", "cost native", "mapped", "at equal effect, native", "mapped", "mapped over native", "map's R²", "stitched CE", "native CE"],
            facts.Pairs.Select(pair => (string[])[
                LinkTo(pair), PairEvaluation.MapTextName(pair.Result.MapText),
                WithInterval(pair.Propensity.GetValueOrDefault(Arm.Mapped)), WithInterval(pair.Slopes), WithInterval(pair.RandomSlopes), Two(pair.SlopeRank),
                Percent(pair.Cost?.NativeOfAll), Percent(pair.Cost?.MappedOfAll),
                Percent(pair.Cost?.AtEqualEffect?.Native), $"{Percent(pair.Cost?.AtEqualEffect?.Mapped)} <span class=\"ci\">({pair.Cost?.AtEqualEffect?.Behaviours ?? 0} behaviours)</span>", WithInterval(pair.Cost?.AtEqualEffect?.Ratio),
                Two(pair.Result.Maps[0].Metrics.R2), Two(pair.Result.Maps[0].Metrics.StitchedLoss?.Stitched), Two(pair.Result.Maps[0].Metrics.StitchedLoss?.Native)]));
        _page.Append("</div>\n");
        _page.Append("<p class=\"note\">R of the prompt: what a prompt with an example does, as a share of what the native vector does. Cost: growth of held-out perplexity over the steerable behaviours, at equal length; at equal effect over those whose mapped vector reaches the native one's effect; a ratio below 1: the mapped vector is cheaper. "
            + "Stitched CE: next-token loss, in nats, of the large model run on from mapped states of single tokens. The maps are fitted on means over windows of tokens, for vectors that are such means; single tokens are not what they are for.</p>\n");
    }

    private void WriteWhatWasDone()
    {
        var size = facts.Size;
        _page.Append("<h2>What was done</h2>\n<ol>\n");
        _page.Append(facts.Brought
            ? "<li><b>Native vectors.</b> For each behaviour the mean hidden state at the last token of answers that match it, less that of answers that do not, in the large model itself.</li>\n"
            : "<li><b>Native vectors.</b> For each behaviour the mean hidden state over texts that show it, less that over their counterparts, in the large model itself.</li>\n");
        _page.Append(Inv($"<li><b>Choosing.</b> On {size.CurvePrompts} dev prompts a behaviour, with native vectors alone: the layer where the effect is largest, and the coefficient at which it is half of that. A behaviour is <i>steerable</i> if that effect, over {size.ConfirmPrompts} dev prompts, is at least 0.2 in rate and significant (sign test, Holm's correction over behaviours).</li>\n"));
        _page.Append(Inv($"<li><b>Maps.</b> Both models read the same documents ({string.Join("; ", facts.Pairs.DistinctBy(pair => pair.Result.MapText).Select(pair => $"{pair.Result.MapDocuments} of {PairEvaluation.MapTextName(pair.Result.MapText)} text, windows of {pair.Result.MapWindow} tokens"))}); ridge regression finds y ≈ A·x + b between their mean states over such windows, at layers of the same relative depth. The small model's vector v becomes A·v. "));
        _page.Append(facts.Brought
            ? "<i>In-distribution</i> documents are questions of the same sets, answered both ways; <i>behaviour-free</i> ones are the text that was given for it.</li>\n"
            : "<i>In-distribution</i> documents are like any other; in <i>behaviour-free</i> ones every measured behaviour is absent, so that the map cannot have learnt it.</li>\n");
        _page.Append(facts.Brought
            ? Inv($"<li><b>Test.</b> Up to {size.TestPrompts} questions a behaviour, on which nothing was learnt or chosen, under each arm with the same layer, positions and length of the added vector. The behaviour shows where the model takes the answer that matches it to be the more probable of the two; rates are shares of such questions.</li>\n")
            : Inv($"<li><b>Test.</b> {size.TestPrompts} prompts a behaviour, on which nothing was learnt or chosen and whose sentence templates nothing else shares, continued by {Sampler.NewTokens} tokens at temperature 1 under each arm, all with the same random numbers, layer, positions and length of the added vector. A detector (two regular expressions) says whether the text shows the behaviour.</li>\n"));
        _page.Append(Inv($"<li><b>Propensity.</b> On {size.Items} of these prompts, the log-probability of a continuation that shows the behaviour less that of one that does not, at doses from −1.5 to 1.5 times the chosen coefficient. Its slope over the dose is the <i>steerability</i>.</li>\n"));
        _page.Append(Inv($"<li><b>Cost.</b> Perplexity of {size.Documents} held-out documents, and divergence from the unsteered model on {size.Documents} neutral prompts.</li>\n</ol>\n"));
        _page.Append("<h3>Arms</h3>\n<dl>\n");
        Define("none", "no steering");
        Define("native", "the large model's own vector");
        Define("mapped", "the small model's vector through the map");
        Define("random", Inv($"{PairEvaluation.RandomDirections} directions, every one as likely as any other; prompts take them in turn"));
        Define("random, like states", Inv($"{PairEvaluation.RandomDirections} directions drawn from N(0, Σ), Σ the covariance of the large model's states at that layer"));
        Define("shuffled", "the small model's vector through a map fitted on pairs from different documents, with the same λ");
        Define("no map", "the small model's vector as it is; only where the two widths agree");
        Define("prompt", facts.Brought ? "no steering, and another question with its matching answer put before the prompt" : "no steering, and a sentence that shows the behaviour put into the prompt");
        _page.Append("</dl>\n");
    }

    private void WritePair(PairSummary pair, IReadOnlyList<Figure> figures)
    {
        var result = pair.Result;
        _page.Append(Inv($"<h2 id=\"{Slug(pair)}\">{Text(result.Source.Name)} → {Text(result.Target.Name)}, {MapTextWords(result.MapText)}</h2>\n"));
        _page.Append(Inv($"<p>{KindSentence(result.Pair.Kind)} {Text(result.Source.Name)}: {Describe(result.Source)}; {Text(result.Target.Name)}: {Describe(result.Target)}.</p>\n"));
        _page.Append("<div class=\"figures\">\n");
        foreach (var figure in figures.Where(figure => figure.Caption.Length > 0))
        {
            _page.Append(Inv($"<figure>{Svg(figure)}<figcaption>{Text(figure.Caption)}</figcaption></figure>\n"));
        }

        _page.Append("</div>\n<h3>Behaviours</h3>\n");
        WriteTable(
            ["behaviour", "layer", "coefficient", "none", "native", "mapped", "random", "like states", "shuffled", "no map", "prompt", "R (95%)"],
            result.Behaviours.Select(b => (string[])[
                Text(b.Name), $"{b.SourceLayer} → {b.Choice.Native.Layer}", Two(b.Choice.Coefficient),
                Two(b.Rate(Arm.None)), Two(b.Rate(Arm.Native)), $"<b>{Two(b.Rate(Arm.Mapped))}</b>", Two(b.Rate(Arm.Random)), Two(b.Rate(Arm.RandomStates)), Two(b.Rate(Arm.Shuffled)), Two(b.Rate(Arm.NoMap)), Two(b.Rate(Arm.Prompt)),
                b.Choice.Steerable ? WithInterval(pair.Intervals[b.Name]) : "not steerable"]));
        _page.Append(facts.Brought
            ? "<p class=\"note\">Rates: share of test questions on which the answer that matches the behaviour is the more probable.</p>\n"
            : Inv($"<p class=\"note\">Rates: share of {result.Behaviours[0].Prompts.Count} test prompts whose continuation shows the behaviour.</p>\n"));
        WriteTable(
            ["behaviour", "slope native", "slope mapped", "wrong way native", "wrong way mapped", "r", "r of shifts", "cosine", "ppl none", "native", "mapped", "mapped, equal length", "KL native", "mapped", "equal dose"],
            result.Behaviours.Select(b => (string[])[
                Text(b.Name), Two(PairSummary.SlopeOf(Arm.Native)(b)), Two(PairSummary.SlopeOf(Arm.Mapped)(b)), Two(b.WrongWay(Arm.Native)), Two(b.WrongWay(Arm.Mapped)),
                Two(EvaluationFacts.Pearson(b)), Two(EvaluationFacts.PearsonOfShifts(b)), Two(b.Cosine), Two(result.Perplexity), Two(b.NativeCost.Perplexity),
                Two(b.MappedCostAtEqualEffect?.Perplexity), Two(b.MappedCost.Perplexity), Three(b.NativeCost.Divergence), Three(b.MappedCostAtEqualEffect?.Divergence), Two(b.EqualDose)]));
        _page.Append("<p class=\"note\">Slope: nats of propensity a unit of dose. Wrong way: share of items whose propensity moves away from the behaviour. r: Pearson's over items between propensities under native and mapped vectors, as in Table 1 of Bello et al. 2025; "
            + "r of shifts: the same against no steering. ppl and KL (nats a token): mapped at the dose (last column) at which it shifts the propensity as the native vector does at dose 1; – where no dose up to 1.5 does.</p>\n");
        _page.Append(Inv($"<details><summary>Dose-response of each behaviour (blue native, orange mapped, grey random; 95% bands over items)</summary>\n<div class=\"small\">\n{string.Concat(figures.Where(figure => figure.Caption.Length == 0).Select(figure => $"<figure>{Svg(figure)}</figure>\n"))}</div></details>\n"));
        WriteExamples(result);
        _page.Append("<details><summary>Maps and digests</summary>\n");
        WriteTable(
            ["layers", "R²", "cosine", "λ", "stitched CE", "native CE", "mean-ablated CE", "tokens", "paired", "digest"],
            result.Maps.Select(map => (string[])[
                $"{map.Source.Layer} → {map.Target.Layer}", Three(map.Metrics.R2), Three(map.Metrics.Cosine), map.Metrics.Lambda.ToString("0.#e+0", CultureInfo.InvariantCulture),
                Three(map.Metrics.StitchedLoss?.Stitched), Three(map.Metrics.StitchedLoss?.Native), Three(map.Metrics.StitchedLoss?.MeanAblated),
                $"{map.Metrics.SourceTokens}", $"{map.Metrics.PairedTokens}", $"<code>{Text(map.Digest)}</code>"]));
        _page.Append("<ul class=\"digests\">\n");
        foreach (var (name, digest) in new[] { (result.Source.Name, result.Source.Model.Digest), (result.Target.Name, result.Target.Model.Digest), ("map text", result.MapTextDigest) })
        {
            _page.Append(Inv($"<li>{Text(name)} <code>{Text(digest)}</code></li>\n"));
        }

        _page.Append("</ul></details>\n");
    }

    // Chosen by the effect on dev prompts, and then the first test prompt: not picked by what came out.
    private void WriteExamples(PairResult result)
    {
        _page.Append("<details><summary>Examples (the behaviours of largest effect on dev prompts, the first test prompt of each; not picked)</summary>\n");
        foreach (var b in result.Behaviours.OrderByDescending(b => b.Choice.Steerable).ThenByDescending(b => b.Choice.Effect).Take(Examples))
        {
            _page.Append(Inv($"<h4>{Text(b.Name)}: {Text(b.Choice.Behaviour.Description)}</h4>\n<blockquote>{Text(b.Prompts[0])} …</blockquote>\n<dl>\n"));
            foreach (var arm in new[] { Arm.None, Arm.Native, Arm.Mapped, Arm.Random, Arm.Shuffled, Arm.Prompt })
            {
                string text = b.Texts[arm][0];
                Define($"{arm}".ToLowerInvariant() + (b.Outcomes[arm][0] > 0.5 ? " ●" : " ○"), text);
            }

            _page.Append("</dl>\n");
        }

        _page.Append("<p class=\"note\">● shows the behaviour, ○ does not.</p></details>\n");
    }

    private void WriteSweeps()
    {
        if (facts.Sweeps.Count == 0)
        {
            return;
        }

        _page.Append(Inv($"<h2 id=\"sweeps\">What it depends on</h2>\n<p>{Text(facts.Pairs[0].Result.Source.Name)} → {Text(facts.Pairs[0].Result.Target.Name)}, maps of in-distribution text, {facts.Size.SweepPrompts} test prompts of each of the behaviours whose native vectors moved dev prompts most. "));
        _page.Append("One thing varies at a time. R compares with the native vector under the same setting; <i>native</i> and <i>mapped</i> compare with the native vector's effect in the headline.</p>\n");
        foreach (var sweep in facts.Sweeps)
        {
            string better = sweep.MapAgainstEffect is { } rank ? $" Rank correlation of the maps' R² with the mapped vectors' effects over {sweep.Points.Count} settings: {Two(rank)}." : "";
            _page.Append(Inv($"<h3>{Text(sweep.Question)}</h3>\n<div class=\"figures\">\n"));
            foreach (var figure in SweepFigures.Of(sweep))
            {
                _page.Append(Inv($"<figure>{Svg(figure)}<figcaption>{Text(figure.Caption)}{Text(better)}</figcaption></figure>\n"));
            }

            _page.Append("</div>\n<details><summary>Numbers</summary>\n");
            WriteTable(
                [sweep.Name, "map's R²", "R (95%)", "R of propensity", "native", "mapped", "behaviours"],
                sweep.Points.Select(point => (string[])[
                    Text(point.Setting), Two(point.MapR2), $"<b>{WithInterval(point.Share)}</b>", WithInterval(point.Propensity), WithInterval(point.Native), WithInterval(point.OfHeadline), $"{point.Behaviours}"]));
            _page.Append("</details>\n");
        }
    }

    private void WriteHowSure()
    {
        _page.Append("<h2>How sure</h2>\n<ul>\n");
        _page.Append("<li>Intervals are 95%, by a paired hierarchical bootstrap: behaviours are drawn again, and within each its prompts, the same ones for all arms. Each prompt has a random seed of its own, so drawing prompts also draws what chance does. "
            + "They say how much would change with other behaviours and prompts of this kind, not with other models.</li>\n");
        _page.Append("<li>The controls say what R would be without any transfer. Where the interval of random or shuffled vectors does not include 0, part of R may be an effect of steering as such.</li>\n");
        _page.Append("<li>The behaviour-free rows are the harder test: the map has never seen what it carries.</li>\n");
        _page.Append(facts.Brought
            ? "<li>An answer's letter or word is one token after a prompt: that its probability moves does not say that the model would write longer texts in that vein. Texts that it writes were not judged here.</li>\n"
            : "<li>Models of a few million parameters, trained on text that a grammar writes, with behaviours that regular expressions detect, say that the method works where its premises hold. They do not say how large models of natural language behave.</li>\n");
        _page.Append("<li>Cost at equal effect reads the dose off the propensity curve of the same items; where the mapped vector is too weak at 1.5 times the coefficient it is left out, which flatters it. Equal length is given beside it.</li>\n");
        if (facts.Quick)
        {
            _page.Append("<li><b>This is a quick run</b>: few prompts, wide intervals. The full one is the same command without <code>--quick</code>.</li>\n");
        }

        _page.Append("</ul>\n");
    }

    private void WriteReproduce()
    {
        _page.Append(Inv($"<h2>Do it again</h2>\n<pre>./{Text(facts.Command)}</pre>\n<p>Seed {facts.Seed}; behaviours <code>{Text(facts.BehavioursDigest)}</code>; LrtMesh {Text(facts.Version)}; {seconds / 60:0.0} minutes, answers kept from an earlier run not asked for again. "));
        _page.Append("The same seed gives the same numbers, but for the last digit of log-probabilities, which depend on what shares a batch. Beside this page: <code>evaluation.json</code>, <code>behaviours.csv</code>, <code>doses.csv</code> and the figures as PNG.</p>\n");
    }

    private void WriteTable(string[] headings, IEnumerable<string[]> rows)
    {
        _page.Append("<div class=\"table\"><table>\n<tr>").AppendJoin("", headings.Select(heading => $"<th>{Text(heading)}</th>")).Append("</tr>\n");
        foreach (string[] row in rows)
        {
            _page.Append("<tr>").AppendJoin("", row.Select(cell => $"<td>{cell}</td>")).Append("</tr>\n");
        }

        _page.Append("</table></div>\n");
    }

    private void Define(string term, string meaning) => _page.Append(Inv($"<dt>{Text(term)}</dt><dd>{Text(meaning)}</dd>\n"));

    // Scales with the page; what stands before the element is for files of their own.
    private string Svg(Figure figure)
    {
        string svg = figure.Plot.GetSvgXml(figure.Width, figure.Height);
        string element = svg[svg.IndexOf("<svg", StringComparison.Ordinal)..];
        // Names of clips and gradients are the page's, where several figures meet.
        string own = Inv($"figure{_figures++}-");
        element = NameInSvg().Replace(element, name => name.Value + own);
        return StartOfSvg().Replace(element, Inv($"<svg viewBox=\"0 0 {figure.Width} {figure.Height}\" role=\"img\""), 1);
    }

    private static string LinkTo(PairSummary pair) => $"<a href=\"#{Slug(pair)}\">{Text(pair.Result.Source.Name)} → {Text(pair.Result.Target.Name)}</a>";

    private static string Rate(PairSummary pair, Arm arm) => WithInterval(pair.Rates.GetValueOrDefault(arm));

    private static string Describe(LocatedModel model) =>
        Inv($"{model.Model.Parameters / 1e6:0.00}M parameters, {Text(model.Model.Family)}, {model.Model.Layers} layers of width {model.Model.Width}");

    private static string KindName(string kind) => kind switch
    {
        "same-family" => "the same family",
        "architecture" => "another architecture",
        "tokenizer" => "another tokenizer",
        _ => "other training data",
    };

    private static string KindSentence(string kind) => kind switch
    {
        "same-family" => "The two models share architecture, tokenizer and training data; their sizes differ.",
        "architecture" => "The two models differ in architecture.",
        "tokenizer" => "The two models split text differently; tokens pair where their last characters meet.",
        _ => "The two models were trained on different mixtures of text.",
    };

    private static string MapTextWords(MapText text) => text == MapText.InDistribution ? "map fitted on in-distribution text" : "map fitted on behaviour-free text";

    private static string WithInterval(Estimate? estimate) => estimate is null ? "–" : $"{Two(estimate.Value)} <span class=\"ci\">({Two(estimate.Low)} to {Two(estimate.High)})</span>";

    private static string Two(double? value) => Number(value, "0.00");

    private static string Three(double? value) => Number(value, "0.000");

    private static string Percent(double? value) => value is { } share ? (100 * share).ToString("+0.0;−0.0", CultureInfo.InvariantCulture) + "%" : "–";

    private static string Number(double? value, string format) => value is { } number && double.IsFinite(number) ? number.ToString(format, CultureInfo.InvariantCulture).Replace('-', '−') : "–";

    private static string Text(string text) => WebUtility.HtmlEncode(text);

    private static string Inv(FormattableString text) => FormattableString.Invariant(text);

    [GeneratedRegex("<svg")]
    private static partial Regex StartOfSvg();

    [GeneratedRegex(@"(?:\bid=""|url\(#|href=""#)")]
    private static partial Regex NameInSvg();

    private const string Style = """
        :root { color-scheme: light; }
        body { margin: 0; background: #fff; color: #1a1a1a; font: 16px/1.5 system-ui, sans-serif; }
        main { max-width: 1180px; margin: 0 auto; padding: 1rem; }
        h1 { font-size: 1.9rem; line-height: 1.2; margin: .5rem 0; }
        h2 { margin-top: 2.2rem; border-top: 1px solid #ddd; padding-top: 1rem; line-height: 1.25; }
        p, li, dd { max-width: 50rem; }
        .lead { font-size: 1.08rem; }
        .finding { border-left: 4px solid #c8511b; padding-left: .8rem; }
        .note, figcaption { color: #555; font-size: .86rem; }
        .table { overflow-x: auto; margin: .6rem 0; }
        table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
        th, td { padding: .25rem .55rem; border-bottom: 1px solid #e3e3e3; text-align: right; white-space: nowrap; }
        th { vertical-align: bottom; white-space: normal; font-weight: 600; background: #f6f6f6; }
        th:first-child, td:first-child { text-align: left; position: sticky; left: 0; }
        td:first-child { background: #fff; }
        .ci { color: #666; font-weight: 400; }
        .figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 1rem; align-items: start; }
        .small { display: grid; grid-template-columns: repeat(auto-fill, minmax(170px, 1fr)); gap: .5rem; }
        figure { margin: 0; max-width: 600px; }
        svg image { image-rendering: pixelated; }
        svg { width: 100%; height: auto; display: block; }
        svg text { font-family: system-ui, sans-serif; }
        .overview .ci { display: block; font-size: .92em; }
        dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem .9rem; font-size: .95rem; }
        dt { font-weight: 600; }
        dd { margin: 0; overflow-wrap: anywhere; }
        blockquote { margin: .4rem 0; padding-left: .8rem; border-left: 3px solid #ddd; color: #444; }
        details { margin: .8rem 0; }
        summary { cursor: pointer; font-weight: 600; }
        pre { overflow-x: auto; background: #f6f6f6; padding: .6rem; }
        code { overflow-wrap: anywhere; font-size: .85em; }
        @media (max-width: 600px) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } h1 { font-size: 1.5rem; } }

        """;
}

using LrtMesh.Cli.Evaluation;
using ScottPlot;

namespace LrtMesh.Cli.Report;

/// <summary>A figure of the report.</summary>
/// <param name="Name">Of its file, without extension.</param>
/// <param name="Caption">What it shows and how to read it.</param>
internal sealed record Figure(string Name, string Caption, Plot Plot, int Width, int Height)
{
    /// <summary>A plot on white, with a faint grid.</summary>
    public static Plot NewPlot()
    {
        var plot = new Plot();
        plot.FigureBackground.Color = Colors.White;
        plot.Grid.MajorLineColor = Colors.Black.WithAlpha(0.08);
        return plot;
    }

    /// <summary>Writes it at twice the size, for print and dense screens.</summary>
    public void SavePng(string path)
    {
        Plot.ScaleFactor = 2;
        Plot.SavePng(path, 2 * Width, 2 * Height);
        Plot.ScaleFactor = 1;
    }
}

/// <summary>Draws what a pair came to.</summary>
internal sealed class Figures(PairSummary pair, int seed)
{
    private static readonly Color NativeColor = Color.FromHex("#1f4e9c");
    private static readonly Color MappedColor = Color.FromHex("#c8511b");
    private static readonly Color RandomColor = Color.FromHex("#7a7a7a");

    /// <summary>R of each steerable behaviour with its interval, the pooled one as a line.</summary>
    public Figure Shares()
    {
        var plot = Figure.NewPlot();
        BehaviourResult[] behaviours = [.. pair.Result.Steerable.OrderBy(EvaluationFacts.ShareOf)];
        for (int i = 0; i < behaviours.Length; i++)
        {
            if (pair.Intervals[behaviours[i].Name] is { } share)
            {
                var line = plot.Add.Line(share.Low, i, share.High, i);
                (line.LineColor, line.LineWidth) = (MappedColor, 3);
                var marker = plot.Add.Marker(share.Value, i, MarkerShape.FilledCircle, 9, MappedColor);
                marker.MarkerLineWidth = 0;
            }
        }

        if (pair.Rates.GetValueOrDefault(Arm.Mapped) is { } pooled)
        {
            var band = plot.Add.HorizontalSpan(pooled.Low, pooled.High);
            (band.FillColor, band.LineWidth) = (MappedColor.WithAlpha(0.12), 0);
            plot.MoveToBack(band);
            plot.Add.VerticalLine(pooled.Value, 2, MappedColor);
        }

        plot.Add.VerticalLine(1, 1, NativeColor, LinePattern.Dashed);
        plot.Add.VerticalLine(0, 1, RandomColor, LinePattern.Dashed);
        plot.Axes.Left.SetTicks([.. behaviours.Select((_, i) => (double)i)], [.. behaviours.Select(behaviour => behaviour.Name)]);
        double[] ends = [.. behaviours.Select(behaviour => pair.Intervals[behaviour.Name]).OfType<Estimate>().SelectMany(share => new[] { share.Low, share.High })];
        plot.Axes.SetLimits(Math.Min(-0.1, Math.Max(-1, ends.Min()) - 0.05), Math.Max(1.1, Math.Min(2.5, ends.Max()) + 0.05), -0.7, behaviours.Length - 0.3);
        plot.XLabel("share of the native effect kept, R");
        return new Figure(
            "share-by-behaviour",
            "R of each steerable behaviour, with its 95% interval over prompts. 1 (dashed, blue): as strong as the large model's own vector; 0 (dashed, grey): no effect. "
            + "The orange line and band: R pooled over behaviours, and its 95% interval.",
            plot, 440, 80 + (24 * Math.Max(4, behaviours.Length)));
    }

    /// <summary>Dose-response over all steerable behaviours.</summary>
    public Figure DoseResponse()
    {
        var plot = Figure.NewPlot();
        foreach (var (arm, color, name) in Arms)
        {
            double[] doses = [.. pair.Result.Behaviours[0].Curves[arm].Doses];
            Estimate[] means = [.. doses.Select(dose => Bootstrap.MeanOfGroups([.. pair.Result.Steerable.Select(behaviour => behaviour.Curves[arm].Shifts(dose))], seed)!)];
            AddCurve(plot, doses, means, color, name);
        }

        plot.XLabel("dose (1 is the chosen coefficient)");
        plot.YLabel("shift of propensity, nats");
        plot.ShowLegend(Alignment.UpperLeft);
        return new Figure(
            "dose-response",
            "Mean shift of propensity (log-probability of the continuation that shows the behaviour less that of the one that does not) over the steerable behaviours, as the dose grows. Bands: 95%, behaviours and items drawn again.",
            plot, 440, 340);
    }

    /// <summary>Dose-response of each behaviour.</summary>
    public IEnumerable<Figure> DoseResponses() => pair.Result.Behaviours.Select(behaviour =>
    {
        var plot = Figure.NewPlot();
        foreach (var (arm, color, name) in Arms)
        {
            double[] doses = [.. behaviour.Curves[arm].Doses];
            AddCurve(plot, doses, [.. doses.Select(dose => Bootstrap.MeanOfGroups([behaviour.Curves[arm].Shifts(dose)], seed)!)], color, name);
        }

        plot.HideLegend();
        plot.Title(behaviour.Choice.Steerable ? behaviour.Name : $"{behaviour.Name} (not steerable)", 13);
        return new Figure($"dose-{behaviour.Name}", "", plot, 250, 210);
    });

    /// <summary>Perplexity against the effect, as the dose grows.</summary>
    public Figure CostAgainstEffect()
    {
        var plot = Figure.NewPlot();
        foreach (var (arm, color, name, costs) in new[] { (Arm.Native, NativeColor, "native", (Func<BehaviourResult, IReadOnlyList<Cost>>)(b => b.NativeCosts)), (Arm.Mapped, MappedColor, "mapped", b => b.MappedCosts) })
        {
            double[] doses = [.. costs(pair.Result.Behaviours[0]).Select(cost => cost.Dose).Where(pair.Result.Behaviours[0].Curves[arm].Doses.Contains)];
            double[] effects = [0, .. doses.Select(dose => pair.Result.Steerable.Average(b => b.Curves[arm].Shifts(dose).Average()))];
            double[] more = [0, .. doses.Select(dose => 100 * (Math.Exp(pair.Result.Steerable.Average(b => Math.Log(costs(b).First(cost => cost.Dose == dose).Perplexity / pair.Result.Perplexity))) - 1))];
            var line = plot.Add.Scatter(effects, more, color);
            (line.LineWidth, line.MarkerSize, line.LegendText) = (2, 8, name);
        }

        plot.XLabel("mean shift of propensity, nats");
        plot.YLabel("held-out perplexity, % more");
        plot.ShowLegend(Alignment.UpperLeft);
        return new Figure("cost-against-effect", "What an effect costs: growth of perplexity on held-out text against the shift of propensity, at doses 0, 0.5, 1 and 1.5. Lower and further right is better.", plot, 440, 340);
    }

    private static (Arm Arm, Color Color, string Name)[] Arms => [(Arm.Random, RandomColor, "random"), (Arm.Native, NativeColor, "native"), (Arm.Mapped, MappedColor, "mapped")];

    private static void AddCurve(Plot plot, double[] doses, Estimate[] means, Color color, string name)
    {
        var band = plot.Add.FillY(doses, [.. means.Select(mean => mean.Low)], [.. means.Select(mean => mean.High)]);
        (band.FillColor, band.LineWidth) = (color.WithAlpha(0.18), 0);
        var line = plot.Add.Scatter(doses, means.Select(mean => mean.Value).ToArray(), color);
        (line.LineWidth, line.MarkerSize, line.LegendText) = (2, 6, name);
    }
}

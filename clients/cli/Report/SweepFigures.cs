using LrtMesh.Cli.Evaluation;
using ScottPlot;

namespace LrtMesh.Cli.Report;

/// <summary>Draws what sweeps came to.</summary>
internal static class SweepFigures
{
    private static readonly Color Mapped = Color.FromHex("#c8511b");
    private static readonly Color Grey = Color.FromHex("#7a7a7a");

    /// <summary>The figures of a sweep.</summary>
    public static IEnumerable<Figure> Of(EffectSweep sweep) =>
        sweep.Points.All(point => point.Layers is not null) ? [Heat(sweep, "R²", point => point.MapR2, "R² of the map on held-out documents"), Heat(sweep, "R", point => point.OfHeadline?.Value, "effect of the mapped vector, as a share of the native one's in the headline")]
        : sweep.Points.All(point => point.X is not null) ? [Curve(sweep)]
        : [Rows(sweep)];

    private static Figure Heat(EffectSweep sweep, string what, Func<SweepPoint, double?> value, string caption)
    {
        var plot = Figure.NewPlot();
        uint[] rows = [.. sweep.Points.Select(point => point.Layers!.Value.Source).Distinct().Order()];
        uint[] columns = [.. sweep.Points.Select(point => point.Layers!.Value.Target).Distinct().Order()];
        double[,] values = new double[rows.Length, columns.Length];
        foreach (var point in sweep.Points)
        {
            var (row, column) = (Array.IndexOf(rows, point.Layers!.Value.Source), Array.IndexOf(columns, point.Layers.Value.Target));
            values[row, column] = value(point) ?? double.NaN;
            var text = plot.Add.Text($"{values[row, column]:0.00}", column, rows.Length - 1 - row);
            (text.Alignment, text.LabelFontSize, text.LabelFontColor) = (Alignment.MiddleCenter, 12, values[row, column] > 0.6 ? Colors.Black : Colors.White);
        }

        var heat = plot.Add.Heatmap(values);
        heat.Colormap = new ScottPlot.Colormaps.Viridis();
        heat.ManualRange = new ScottPlot.Range(0, 1);
        plot.MoveToBack(heat);
        plot.Axes.Bottom.SetTicks([.. columns.Select((_, i) => (double)i)], [.. columns.Select(layer => $"{layer}")]);
        plot.Axes.Left.SetTicks([.. rows.Select((_, i) => (double)(rows.Length - 1 - i))], [.. rows.Select(layer => $"{layer}")]);
        plot.Axes.SetLimits(-0.5, columns.Length - 0.5, -0.5, rows.Length - 0.5);
        plot.Grid.IsVisible = false;
        plot.XLabel("layer of the large model");
        plot.YLabel("layer of the small model");
        plot.Title(what, 13);
        return new Figure($"sweep-{sweep.Name}-{(what == "R" ? "effect" : "r2")}", $"{char.ToUpperInvariant(caption[0])}{caption[1..]}; source layers down, target layers across.", plot, 440, 320);
    }

    private static Figure Curve(EffectSweep sweep)
    {
        var plot = Figure.NewPlot();
        bool logarithmic = sweep.Points[^1].X / sweep.Points[0].X > 20;
        SweepPoint[] points = [.. sweep.Points.Where(point => point.Share is not null)];
        double[] x = [.. points.Select(At)];
        var band = plot.Add.FillY(x, [.. points.Select(point => point.Share!.Low)], [.. points.Select(point => point.Share!.High)]);
        (band.FillColor, band.LineWidth) = (Mapped.WithAlpha(0.18), 0);
        Add(x, [.. points.Select(point => point.Share!.Value)], Mapped, "R");
        if (sweep.Points.Select(point => point.MapR2).Distinct().Count() > 1)
        {
            Add(x, [.. points.Select(point => point.MapR2 ?? double.NaN)], Grey, "R² of the map");
            plot.ShowLegend(Alignment.LowerRight);
        }
        else
        {
            plot.HideLegend();
        }

        // A map of a few texts may be far worse than none: R² below this is off the picture.
        double[] all = [.. points.SelectMany(point => new[] { point.Share!.Low, point.Share.High, point.MapR2 ?? 0 })];
        plot.Axes.SetLimitsY(Math.Max(-0.5, all.Min()) - 0.05, all.Max() + 0.05);

        plot.Axes.Bottom.SetTicks(x, [.. points.Select(point => point.X >= 1000 ? $"{point.X / 1000:0.#}k" : $"{point.X:0.##}")]);
        plot.XLabel(sweep.Name + (logarithmic ? " (log scale)" : ""));
        plot.YLabel("share of the native effect kept");
        return new Figure($"sweep-{sweep.Name}", $"{sweep.Question} R with its 95% interval, over {points.Max(point => point.Behaviours)} behaviours.", plot, 440, 320);

        double At(SweepPoint point) => logarithmic ? Math.Log2(point.X!.Value) : point.X!.Value;

        void Add(double[] xs, double[] ys, Color color, string name)
        {
            var line = plot.Add.Scatter(xs, ys, color);
            (line.LineWidth, line.MarkerSize, line.LegendText) = (2, 7, name);
        }
    }

    private static Figure Rows(EffectSweep sweep)
    {
        var plot = Figure.NewPlot();
        int count = sweep.Points.Count;
        for (int i = 0; i < count; i++)
        {
            if (sweep.Points[i].Share is { } share)
            {
                var line = plot.Add.Line(share.Low, count - 1 - i, share.High, count - 1 - i);
                (line.LineColor, line.LineWidth) = (Mapped, 3);
                plot.Add.Marker(share.Value, count - 1 - i, MarkerShape.FilledCircle, 9, Mapped);
            }
        }

        plot.Add.VerticalLine(1, 1, Grey, LinePattern.Dashed);
        plot.Add.VerticalLine(0, 1, Grey, LinePattern.Dashed);
        plot.Axes.Left.SetTicks([.. sweep.Points.Select((_, i) => (double)(count - 1 - i))], [.. sweep.Points.Select(point => point.Setting)]);
        double[] ends = [.. sweep.Points.Select(point => point.Share).OfType<Estimate>().SelectMany(share => new[] { share.Low, share.High })];
        plot.Axes.SetLimits(Math.Min(-0.1, Math.Max(-1, ends.DefaultIfEmpty().Min()) - 0.05), Math.Max(1.1, Math.Min(2.5, ends.DefaultIfEmpty().Max()) + 0.05), -0.7, count - 0.3);
        plot.XLabel("R");
        return new Figure($"sweep-{sweep.Name}", $"{sweep.Question} R with its 95% interval, over at most {sweep.Points.Max(point => point.Behaviours)} behaviours.", plot, 440, 90 + (28 * Math.Max(3, count)));
    }
}

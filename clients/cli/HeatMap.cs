using LrtMesh.V1;
using ScottPlot;
using Spectre.Console;

namespace LrtMesh.Cli;

/// <summary>Held-out R² of a sweep, source layers down and target layers across: in the terminal, or as a picture.</summary>
internal sealed class HeatMap
{
    /// <summary>Size of a picture.</summary>
    public const int PixelWidth = 900;

    /// <summary>Size of a picture.</summary>
    public const int PixelHeight = 700;

    private readonly SweepResult _sweep;
    private readonly string _source;
    private readonly string _target;
    private readonly uint[] _rows;
    private readonly uint[] _columns;
    private readonly Dictionary<(uint, uint), SweepCell> _cells;

    public HeatMap(SweepResult sweep, string source, string target)
    {
        (_sweep, _source, _target) = (sweep, source, target);
        _rows = [.. sweep.Cells.Select(cell => cell.SourceLayer).Distinct().Order()];
        _columns = [.. sweep.Cells.Select(cell => cell.TargetLayer).Distinct().Order()];
        _cells = sweep.Cells.ToDictionary(cell => (cell.SourceLayer, cell.TargetLayer));
    }

    private string Recommended =>
        $"recommended: {_source}:{_sweep.RecommendedSourceLayer} (depth {Depth(_sweep.RecommendedSourceLayer, _sweep.SourceDepth)}) → "
        + $"{_target}:{_sweep.RecommendedTargetLayer} (depth {Depth(_sweep.RecommendedTargetLayer, _sweep.TargetDepth)})";

    /// <summary>Prints a table whose cells are coloured.</summary>
    public void Print(IAnsiConsole console)
    {
        var table = new Table { Border = TableBorder.None };
        table.AddColumn(new TableColumn($"{Markup.Escape(_source)} ↓  {Markup.Escape(_target)} →"));
        foreach (uint target in _columns)
        {
            table.AddColumn(new TableColumn($"{target}\n{Depth(target, _sweep.TargetDepth)}").Centered());
        }

        foreach (uint source in _rows)
        {
            var cells = _columns.Select(target => Cell(_cells[(source, target)], (source, target) == (_sweep.RecommendedSourceLayer, _sweep.RecommendedTargetLayer)));
            table.AddRow([$"{source}  {Depth(source, _sweep.SourceDepth)}", .. cells]);
        }

        console.MarkupLineInterpolated($"Held-out R² of ridge maps, {_sweep.Rows} tokens in each fit and {_sweep.HeldOutRows} held out; relative depth beside each layer:");
        console.Write(table);
        console.MarkupLineInterpolated($"{Recommended}: {_sweep.Rule}");
    }

    /// <summary>The picture.</summary>
    public Plot Plot()
    {
        var plot = new Plot();
        var values = new double[_rows.Length, _columns.Length];
        for (int row = 0; row < _rows.Length; row++)
        {
            for (int column = 0; column < _columns.Length; column++)
            {
                double r2 = _cells[(_rows[row], _columns[column])].R2;
                values[row, column] = r2;
                var text = plot.Add.Text($"{r2:0.00}", column, _rows.Length - 1 - row);
                text.Alignment = Alignment.MiddleCenter;
                text.LabelFontColor = r2 > 0.6 ? Colors.Black : Colors.White;
                text.LabelFontSize = 14;
                text.LabelBold = (_rows[row], _columns[column]) == (_sweep.RecommendedSourceLayer, _sweep.RecommendedTargetLayer);
            }
        }

        var heat = plot.Add.Heatmap(values);
        heat.Colormap = new ScottPlot.Colormaps.Viridis();
        heat.ManualRange = new ScottPlot.Range(0, 1);
        plot.MoveToBack(heat);
        plot.Add.ColorBar(heat);
        var best = plot.Add.Rectangle(
            Array.IndexOf(_columns, _sweep.RecommendedTargetLayer) - 0.5,
            Array.IndexOf(_columns, _sweep.RecommendedTargetLayer) + 0.5,
            _rows.Length - 1.5 - Array.IndexOf(_rows, _sweep.RecommendedSourceLayer),
            _rows.Length - 0.5 - Array.IndexOf(_rows, _sweep.RecommendedSourceLayer));
        (best.FillColor, best.LineColor, best.LineWidth) = (Colors.Transparent, Colors.Red, 3);
        plot.Axes.Bottom.SetTicks([.. _columns.Select((_, i) => (double)i)], [.. _columns.Select(layer => $"{layer}\n{Depth(layer, _sweep.TargetDepth)}")]);
        plot.Axes.Left.SetTicks([.. _rows.Select((_, i) => (double)(_rows.Length - 1 - i))], [.. _rows.Select(layer => $"{layer}  ({Depth(layer, _sweep.SourceDepth)})")]);
        plot.XLabel($"layer of {_target} (relative depth below)");
        plot.YLabel($"layer of {_source} (relative depth)");
        plot.Title($"R² on held-out documents\n{Recommended}");
        plot.Grid.IsVisible = false;
        plot.Axes.SetLimits(-0.5, _columns.Length - 0.5, -0.5, _rows.Length - 0.5);
        return plot;
    }

    private static string Depth(uint layer, uint blocks) => $"{(layer + 1.0) / blocks:0.00}";

    private static string Cell(SweepCell cell, bool isBest)
    {
        double share = Math.Clamp(cell.R2, 0, 1);
        var (red, green, blue) = ((int)(60 + (190 * share)), (int)(20 + (200 * share)), (int)(90 - (60 * share)));
        string text = $" {cell.R2:0.00}{(isBest ? "*" : " ")}";
        return $"[{(share > 0.6 ? "black" : "white")} on rgb({red},{green},{blue})]{text}[/]";
    }
}

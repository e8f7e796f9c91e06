using LrtMesh.Cli;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

/// <summary>R² of single dimensions, in a line and as a picture.</summary>
public sealed class DimensionPlotTests
{
    [Fact]
    public void A_line_counts_dimensions_by_their_R2()
    {
        float[] r2 = [-3, 0.01f, .. Enumerable.Repeat(0.52f, 16), 0.97f, 1];
        Assert.Equal("0 │▁         █        ▁│ 1, median 0.52, -3.00 to 1.00", DimensionPlot.Line(r2));
    }

    [Fact]
    public void A_picture_has_a_line_for_each_map()
    {
        var plot = DimensionPlot.Plot([Map("m", 0.9f, 0.2f, 0.5f), Map("m.shuffled", 0, -0.1f, 0.1f)]);
        var lines = plot.GetPlottables<ScottPlot.Plottables.Scatter>().ToArray();
        Assert.Equal(["m (R² 0.50)", "m.shuffled (R² 0.50)"], lines.Select(line => line.LegendText));
        Assert.Equal([0.9, 0.5, 0.2], lines[0].Data.GetScatterPoints().Select(point => Math.Round(point.Y, 6)));
        Assert.Contains("<svg", plot.GetSvgXml(DimensionPlot.PixelWidth, DimensionPlot.PixelHeight), StringComparison.Ordinal);
    }

    private static AffineMap Map(string name, params float[] r2) => new() { Name = name, Metrics = new MapMetrics { R2 = 0.5, R2PerDimension = { r2 } } };
}

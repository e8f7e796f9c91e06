using LrtMesh.Cli;
using LrtMesh.V1;
using Spectre.Console;
using Xunit;

namespace LrtMesh.Core.Tests.Cli;

public sealed class HeatMapTests
{
    private static readonly SweepResult Sweep = new()
    {
        Cells =
        {
            new SweepCell { SourceLayer = 1, TargetLayer = 0, R2 = 0.91 }, new SweepCell { SourceLayer = 1, TargetLayer = 4, R2 = 0.52 },
            new SweepCell { SourceLayer = 3, TargetLayer = 0, R2 = -0.2 }, new SweepCell { SourceLayer = 3, TargetLayer = 4, R2 = 0.64 },
        },
        SourceDepth = 4,
        TargetDepth = 8,
        RecommendedSourceLayer = 3,
        RecommendedTargetLayer = 4,
        Rule = "the rule",
    };

    [Fact]
    public void The_terminal_shows_each_pair_its_depth_and_the_recommended_one()
    {
        using var text = new StringWriter();
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(text) });
        console.Profile.Width = 160;
        new HeatMap(Sweep, "small", "large").Print(console);
        var shown = text.ToString();
        Assert.All(["0.91", "-0.20", "0.64*", "the rule", "small:3 (depth 1.00)", "large:4 (depth 0.63)"], part => Assert.Contains(part, shown, StringComparison.Ordinal));
    }

    [Fact]
    public void Pictures_are_written_as_png_and_svg()
    {
        var plot = new HeatMap(Sweep, "small", "large").Plot();
        var png = plot.GetImageBytes(HeatMap.PixelWidth, HeatMap.PixelHeight, ScottPlot.ImageFormat.Png);
        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], png[..4]);
        Assert.Contains("<svg", plot.GetSvgXml(HeatMap.PixelWidth, HeatMap.PixelHeight), StringComparison.Ordinal);
    }
}

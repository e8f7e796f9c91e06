using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using LrtMesh.V1;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh sweep</c>: how every layer of one model maps to every layer of another.</summary>
internal static class SweepCommand
{
    private static readonly Option<ModelLayers> Source = Ends("--source", "The source model and its layers; all without a list: tiny-small or tiny-small:0,1,2.");

    private static readonly Option<ModelLayers> Target = Ends("--target", "The target model and its layers, such as tiny-large.");

    private static readonly Option<bool> Standardize = new("--standardize") { Description = "Penalize each dimension of the source by its own variance." };

    private static readonly Option<uint> Folds = new("--folds") { Description = "Folds of documents; the last is held out. Default: 5.", HelpName = "K" };

    private static readonly Option<FileInfo?> Png = new("--png") { Description = "Write the heat map as a PNG picture.", HelpName = "FILE" };

    private static readonly Option<FileInfo?> Svg = new("--svg") { Description = "Write the heat map as an SVG picture.", HelpName = "FILE" };

    public static Command Create()
    {
        var command = new Command("sweep", """
            Fits a ridge map from every layer of one model to every layer of another, in one pass over the text, and shows
            how much of each target layer's variance is explained on documents that the fits never saw.

            Example: lrtmesh sweep --source tiny-medium --target tiny-large --png sweep.png
            """)
        { Source, Target, Standardize, Folds, Png, Svg };
        var texts = new MapTextOptions(command);
        CommandRun.Set(command, run => RunAsync(run, texts));
        return command;
    }

    private static async Task RunAsync(CommandRun run, MapTextOptions texts)
    {
        await using var mesh = await run.OpenMeshAsync();
        var (source, target) = (run.Get(Source), run.Get(Target));
        var request = new CreateMapJobRequest
        {
            Sweep = new Sweep
            {
                SourceModel = source.Model,
                SourceLayers = { await LayersAsync(mesh, source, run.Cancellation) },
                TargetModel = target.Model,
                TargetLayers = { await LayersAsync(mesh, target, run.Cancellation) },
            },
            Fit = new FitOptions { Standardize = run.Get(Standardize), Folds = run.Get(Folds) },
        };
        texts.Fill(run, request);
        var job = await MapJobs.RunAsync(run.Terminal, mesh.Mapping, request, run.Cancellation);
        var map = new HeatMap(job.Sweep, source.Model, target.Model);
        map.Print(run.Terminal.Out);
        if (run.Parse.GetValue(Png) is { } png)
        {
            map.Plot().SavePng(png.FullName, HeatMap.PixelWidth, HeatMap.PixelHeight);
        }

        if (run.Parse.GetValue(Svg) is { } svg)
        {
            map.Plot().SaveSvg(svg.FullName, HeatMap.PixelWidth, HeatMap.PixelHeight);
        }

        await run.WriteJsonAsync(new
        {
            Job = job.Id,
            Source = new { source.Model, Digest = job.Sweep.SourceDigest, Blocks = job.Sweep.SourceDepth },
            Target = new { target.Model, Digest = job.Sweep.TargetDigest, Blocks = job.Sweep.TargetDepth },
            job.Sweep.Rows,
            job.Sweep.HeldOutRows,
            job.Sweep.DataDigest,
            Recommended = new { Source = job.Sweep.RecommendedSourceLayer, Target = job.Sweep.RecommendedTargetLayer, job.Sweep.Rule },
            Cells = job.Sweep.Cells.Select(cell => new { cell.SourceLayer, cell.TargetLayer, cell.R2, cell.R2WithoutLargest, cell.Cosine, cell.Lambda, cell.Cka }),
        });
    }

    private static async Task<IEnumerable<uint>> LayersAsync(Mesh mesh, ModelLayers end, CancellationToken cancellation)
    {
        if (end.Layers.Length > 0)
        {
            return end.Layers;
        }

        var model = await mesh.FindModelAsync(end.Model, cancellation);
        return Enumerable.Range(0, (int)model.Model.Layers).Select(layer => (uint)layer);
    }

    private static Option<ModelLayers> Ends(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "MODEL[:L,L2]",
        Required = true,
        CustomParser = Parse,
    };

    private static ModelLayers? Parse(ArgumentResult argument)
    {
        string text = argument.Tokens[0].Value;
        int colon = text.LastIndexOf(':');
        var parts = colon < 0 ? [] : text[(colon + 1)..].Split(',');
        var layers = new List<uint>();
        foreach (string part in parts)
        {
            if (!uint.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out uint layer) || layers.Contains(layer))
            {
                argument.AddError($"'{text}': expected MODEL or MODEL:LAYER,LAYER with layers counted from 0, each once.");
                return null;
            }

            layers.Add(layer);
        }

        return new ModelLayers(colon < 0 ? text : text[..colon], [.. layers]);
    }

    /// <summary>A model and some of its layers; none: all.</summary>
    private sealed record ModelLayers(string Model, uint[] Layers);
}

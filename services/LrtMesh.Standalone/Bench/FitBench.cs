using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using LrtMesh.Core.Maps;
using LrtMesh.Core.Tensors;
using Spectre.Console;
using static TorchSharp.torch;

namespace LrtMesh.Standalone.Bench;

/// <summary>
/// `bench fit`: moments beside one plain product XᵀY of the same rows, and the closed form beside the paper's AdamW recipe.
/// </summary>
/// <remarks>
/// Moments and product alternate, and medians are compared. The rate of moments is counted as 2n(ds² + ds·dt + dt²), without
/// credit for what the symmetry of two of the three products saves. Rows come in documents of 512 and five folds, as in a job.
/// </remarks>
internal static class FitBench
{
    private const int DocumentRows = AdamWRecipe.TextTokens;
    private const int Folds = 5;

    public static Command Create()
    {
        var json = BenchCommand.JsonOption();
        var rows = new Option<int>("--rows") { Description = "Rows of each fit.", DefaultValueFactory = _ => 100_000 };
        var repeats = new Option<int>("--repeats") { Description = "Measurements of each, of which the median counts.", DefaultValueFactory = _ => 5 };
        var shapes = new Option<string[]>("--shape")
        {
            Description = "Source and target width, as 768x1024; the last but one is used beside AdamW, or the only one.",
            DefaultValueFactory = _ => ["512x768", "768x1024", "1024x2048"],
            AllowMultipleArgumentsPerToken = true,
        };
        var command = new Command("fit", "Moments and solvers of maps, beside a plain matrix product and the paper's AdamW recipe.")
        {
            json, rows, repeats, shapes,
        };
        command.SetAction((parsed, cancellation) => Task.Run(
            () => Run(
                parsed.GetValue(rows), parsed.GetValue(repeats), parsed.GetValue(shapes)!, parsed.GetValue(json), cancellation), cancellation));
        return command;
    }

    private static int Run(int rows, int repeats, string[] shapes, FileInfo? json, CancellationToken cancellation)
    {
        var widths = shapes.Select(ParseShape).ToArray();
        if (widths.Any(w => w is null) || rows < Folds * DocumentRows || repeats < 1)
        {
            Console.Error.WriteLine($"--shape must be two widths such as 768x1024, --rows at least {Folds * DocumentRows}, --repeats at least 1");
            return 2;
        }

        NativeTorch.EnsureLoaded();
        var table = new Table().AddColumns("source", "target", "rows", "moments s", "solve s", "GFLOP/s", "plain XᵀY GFLOP/s", "ratio");
        var measured = new List<ShapeResult>();
        foreach (var shape in widths)
        {
            var result = MeasureShape(shape!.Value.Source, shape.Value.Target, rows, repeats, cancellation);
            measured.Add(result);
            table.AddRow([.. new[]
            {
                result.Source, result.Target, result.Rows, result.MomentsSeconds, result.SolveSeconds, result.Gflops, result.GemmGflops, result.Ratio,
            }.Select(v => v.ToString("0.###", CultureInfo.InvariantCulture))]);
        }

        AnsiConsole.Write(table);
        var (source, target) = widths[Math.Max(0, widths.Length - 2)]!.Value;
        var pairs = IllConditioned.Make(source, target, rows);
        var closed = ClosedForm(pairs);
        var single = AdamW(pairs, closed, bfloat16: false, cancellation);
        var half = AdamW(pairs, closed, bfloat16: true, cancellation);
        table = new Table().AddColumns($"{source} → {target}", "seconds", "ms per step", "held-out loss");
        table.AddRow("closed form", Text(closed.Seconds), "", Text(closed.Loss));
        table.AddRow("AdamW, float32", Text(single.Seconds), Text(single.MillisecondsPerStep), Text(single.Loss));
        table.AddRow("AdamW, bfloat16 products", Text(half.Seconds), Text(half.MillisecondsPerStep), Text(half.Loss));
        AnsiConsole.Write(table);
        BenchCommand.Write(json, new FitResult(measured, single, half));
        return 0;

        static string Text(double value) => value.ToString("G4", CultureInfo.InvariantCulture);
    }

    private static (int Source, int Target)? ParseShape(string text) =>
        text.Split('x') is [var source, var target]
        && int.TryParse(source, NumberStyles.None, CultureInfo.InvariantCulture, out var ds) && ds > 0
        && int.TryParse(target, NumberStyles.None, CultureInfo.InvariantCulture, out var dt) && dt > 0
            ? (ds, dt)
            : null;

    private static ShapeResult MeasureShape(int source, int target, int rows, int repeats, CancellationToken cancellation)
    {
        using var scope = NewDisposeScope();
        var (x, y) = (randn(rows, source), randn(rows, target));
        var (xs, ys) = (Rows(x), Rows(y));
        double[] moments = new double[repeats], products = new double[repeats];
        MomentAccumulator? gathered = null;
        x.t().matmul(y).Dispose(); // the first product starts torch's threads
        for (var i = 0; i < repeats; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            var watch = Stopwatch.StartNew();
            gathered = Gather(xs, ys, source, target, Folds);
            moments[i] = watch.Elapsed.TotalSeconds;
            watch.Restart();
            x.t().matmul(y).Dispose();
            products[i] = watch.Elapsed.TotalSeconds;
        }

        var solve = Ridge.Fit(gathered!.Pair()).SolveTime.TotalSeconds;
        var (ds, dt) = ((double)source, (double)target);
        var (momentsSeconds, productSeconds) = (BenchCommand.Median(moments), BenchCommand.Median(products));
        var gflops = 2 * rows * ((ds * ds) + (ds * dt) + (dt * dt)) / momentsSeconds / 1e9;
        var plain = 2 * rows * ds * dt / productSeconds / 1e9;
        return new ShapeResult(source, target, rows, momentsSeconds, solve, gflops, plain, gflops / plain);
    }

    /// <summary>Least squares, the objective that AdamW lowers, from rows to map.</summary>
    private static (double Seconds, double Loss, PairMoments HeldOut) ClosedForm(IllConditioned pairs)
    {
        // The last fold is the held-out one; its moments measure both ways, and are gathered beforehand.
        var moments = new MomentAccumulator(pairs.Source, pairs.Target, Folds, shuffled: false);
        moments.Add(Folds - 1, pairs.HeldOutX, pairs.HeldOutY);
        var watch = Stopwatch.StartNew();
        AddDocuments(moments, pairs.X, pairs.Y, pairs.Source, pairs.Target, Folds - 1);
        var fit = LeastSquares.Fit(moments.Pair());
        return (watch.Elapsed.TotalSeconds, fit.HeldOut.MeanSquaredError, moments.Fold(Folds - 1));
    }

    /// <summary>The recipe with both of the paper's learning rates; the one of lower loss counts.</summary>
    private static AdamWResult AdamW(
        IllConditioned pairs, (double Seconds, double Loss, PairMoments HeldOut) closed, bool bfloat16, CancellationToken cancellation)
    {
        using var recipe = new AdamWRecipe(pairs.X, pairs.Y, pairs.Source, pairs.Target, bfloat16);
        AdamWResult? best = null;
        foreach (var rate in new[] { AdamWRecipe.BaseLearningRate, AdamWRecipe.InstructLearningRate })
        {
            cancellation.ThrowIfCancellationRequested();
            var map = recipe.Train(rate, seed: 1);
            var loss = HeldOutMetrics.Measure(closed.HeldOut, map.A, map.B).MeanSquaredError;
            if (best is null || loss < best.Loss)
            {
                best = new AdamWResult(
                    map.Time.TotalSeconds, map.Time.TotalMilliseconds / map.Steps, loss, closed.Seconds, closed.Loss, map.Steps, rate);
            }
        }

        return best!;
    }

    private static MomentAccumulator Gather(float[] x, float[] y, int source, int target, int folds)
    {
        var moments = new MomentAccumulator(source, target, folds, shuffled: false);
        AddDocuments(moments, x, y, source, target, folds);
        for (var fold = 0; fold < folds; fold++)
        {
            _ = moments.Fold(fold); // the last, shorter blocks too
        }

        return moments;
    }

    private static void AddDocuments(MomentAccumulator moments, float[] x, float[] y, int source, int target, int folds)
    {
        var rows = x.Length / source;
        for (var start = 0; start < rows; start += DocumentRows)
        {
            var count = Math.Min(DocumentRows, rows - start);
            moments.Add(start / DocumentRows % folds, x.AsMemory(start * source, count * source), y.AsMemory(start * target, count * target));
        }
    }

    private static float[] Rows(Tensor values) => MemoryMarshal.Cast<byte, float>(values.contiguous().bytes).ToArray();

    private sealed record FitResult(IReadOnlyList<ShapeResult> Shapes, AdamWResult Adamw, AdamWResult AdamwBfloat16);

    private sealed record ShapeResult(
        int Source, int Target, int Rows, double MomentsSeconds, double SolveSeconds, double Gflops, double GemmGflops, double Ratio);

    private sealed record AdamWResult(
        double Seconds, double MillisecondsPerStep, double Loss, double ClosedFormSeconds, double ClosedFormLoss, int Steps, double LearningRate);

    /// <summary>
    /// Made-up pairs whose source spans its dimensions ever less, as hidden states do: standard deviations 1/k along directions of
    /// which none is an axis (condition number ds² of the covariance), and a target that shows them as 1/√k, with noise.
    /// </summary>
    private sealed record IllConditioned(int Source, int Target, float[] X, float[] Y, float[] HeldOutX, float[] HeldOutY)
    {
        private const double Noise = 0.05;

        public static IllConditioned Make(int source, int target, int rows)
        {
            using var scope = NewDisposeScope();
            var generator = new Generator(1);
            var k = tensor(Enumerable.Range(1, source).Select(dimension => (float)dimension).ToArray());
            var turn = linalg.qr(randn(source, source, generator: generator)).Item1.mul(k.reciprocal().unsqueeze(1)); // [ds, ds]
            var show = randn(source, target, generator: generator).div_(Number.Of(Math.Sqrt(source))).mul(k.rsqrt().unsqueeze(1)); // [ds, dt]
            var (x, y) = Draw(rows);
            var (heldX, heldY) = Draw(Math.Max(DocumentRows, rows / 10));
            return new IllConditioned(source, target, x, y, heldX, heldY);

            (float[] X, float[] Y) Draw(int count)
            {
                using var inner = NewDisposeScope();
                var z = randn(count, source, generator: generator);
                return (Rows(z.matmul(turn)), Rows(z.matmul(show).add_(randn(count, target, generator: generator).mul_(Number.Of(Noise)), Number.One)));
            }
        }
    }
}

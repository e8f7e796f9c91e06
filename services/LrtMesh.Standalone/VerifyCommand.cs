using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Verification;
using Spectre.Console;
using static TorchSharp.torch;

namespace LrtMesh.Standalone;

/// <summary>`verify`: a checkpoint against reference activations, a tokenizer or chat templates against known cases.</summary>
internal static class VerifyCommand
{
    private const int ShownCases = 10;
    private const int ShownText = 300; // characters of one text of a case that failed

    private static readonly Argument<string?> Model = new("MODEL_DIR")
    {
        Description = "The checkpoint: a folder with config.json and safetensors files, or the name of a model in the Hugging Face cache.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private static readonly Option<FileInfo?> Expected = new("--expected")
    {
        Description = "Reference activations as safetensors: input_ids, hidden.embed, hidden.N, logits, greedy_ids, greedy_stop, steer.*, ablate.logits.",
        HelpName = "FILE",
    };

    private static readonly Option<string> Dtype = new("--dtype")
    {
        Description = "Compute in float32, bfloat16 or int8. In the latter two each tensor is judged as a whole, by ‖got - expected‖ / ‖expected‖ <= 0.03 or 0.08, and "
            + "greedy ids are shown but need not match.",
        HelpName = "TYPE",
        DefaultValueFactory = _ => "float32",
    };

    private static readonly Option<string> Device = new("--device")
    {
        Description = $"Where to compute: {DeviceChoice.Form}.",
        HelpName = "DEVICE",
        DefaultValueFactory = _ => "cpu",
    };

    private static readonly Option<double> Absolute = new("--atol")
    {
        Description = "Allowed difference in float32, absolute part: |got - expected| <= atol + rtol * |expected|.",
        HelpName = "X",
        DefaultValueFactory = _ => Tolerance.Float32.Absolute,
    };

    private static readonly Option<double> Relative = new("--rtol")
    {
        Description = "Allowed difference in float32, relative part.",
        HelpName = "X",
        DefaultValueFactory = _ => Tolerance.Float32.Relative,
    };

    private static readonly Option<string?> TokenizerFolder = new("--tokenizer") { Description = "Verify this folder's tokenizer instead, with --cases.", HelpName = "DIR" };

    private static readonly Option<FileInfo?> Cases = new("--cases")
    {
        Description = "Tokenizer cases: a JSON list of {text, ids, add_special_tokens, decoded, decoded_skip_special}.",
        HelpName = "FILE",
    };

    private static readonly Option<FileInfo?> Chat = new("--chat")
    {
        Description = "Verify chat templates instead: a JSON list of {name, template, messages, add_generation_prompt, bos_token, eos_token, variables, expected | error}.",
        HelpName = "FILE",
    };

    private static readonly Option<string?> Json = new("--json") { Description = "Write the result as JSON to this file; - for standard output.", HelpName = "FILE" };

    private static readonly Dictionary<string, ScalarType> Types = new()
    {
        ["float32"] = ScalarType.Float32,
        ["bfloat16"] = ScalarType.BFloat16,
        ["int8"] = ScalarType.Int8,
    };

    private static readonly JsonSerializerOptions JsonOptions = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals, // what went wrong may not be a number
        WriteIndented = true,
    };

    public static Command Create()
    {
        var command = new Command("verify", """
            Checks that a checkpoint computes here what a reference implementation computes: the largest difference of each layer,
            of logits, of steered and ablated logits, and the greedy continuation, which must be the same. Exit code 0 only if all agree.

            lrtmesh verify MODEL_DIR --expected FILE          a checkpoint against reference activations
            lrtmesh verify --tokenizer DIR --cases FILE       a tokenizer against known ids and decoded texts
            lrtmesh verify --chat FILE                        chat templates against known renderings
            """)
        {
            Model, Expected, Dtype, Device, Absolute, Relative, TokenizerFolder, Cases, Chat, Json,
        };
        Dtype.AcceptOnlyFromAmong([.. Types.Keys]);
        command.Validators.Add(result =>
        {
            var checkpoint = result.GetValue(Model) is not null || result.GetValue(Expected) is not null;
            var tokenizer = result.GetValue(TokenizerFolder) is not null || result.GetValue(Cases) is not null;
            var chat = result.GetValue(Chat) is not null;
            if ((checkpoint ? 1 : 0) + (tokenizer ? 1 : 0) + (chat ? 1 : 0) != 1)
            {
                result.AddError("Say what to verify, one thing at a time: MODEL_DIR --expected FILE, or --tokenizer DIR --cases FILE, or --chat FILE.");
            }
            else if (checkpoint && (result.GetValue(Model) is null || result.GetValue(Expected) is null))
            {
                result.AddError("MODEL_DIR and --expected FILE belong together.");
            }
            else if (tokenizer && (result.GetValue(TokenizerFolder) is null || result.GetValue(Cases) is null))
            {
                result.AddError("--tokenizer DIR and --cases FILE belong together.");
            }

            if (!(result.GetValue(Absolute) >= 0 && result.GetValue(Relative) >= 0))
            {
                result.AddError("--atol and --rtol must be 0 or more.");
            }
        });
        command.SetAction((parsed, cancellation) => Task.Run(() => Run(parsed), cancellation));
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        var json = parsed.GetValue(Json);
        // With --json - standard output is the program's, and the tables go where a person still sees them.
        var console = json == "-" ? Console(System.Console.Error, System.Console.IsErrorRedirected) : Console(System.Console.Out, System.Console.IsOutputRedirected);
        if (parsed.GetValue(Chat) is { } chat)
        {
            return Report(console, ChatCases.Run(chat.FullName), "renderings", json);
        }

        if (parsed.GetValue(TokenizerFolder) is { } folder)
        {
            return Report(console, TokenizerCases.Run(folder, parsed.GetValue(Cases)!.FullName), "texts", json);
        }

        var weights = Types[parsed.GetValue(Dtype)!];
        var tolerance = weights == ScalarType.Float32 ? new Tolerance(parsed.GetValue(Absolute), parsed.GetValue(Relative)) : Tolerance.For(weights);
        var clock = Stopwatch.StartNew();
        var report = CheckpointComparison.Run(ModelFolder.Find(parsed.GetValue(Model)!), parsed.GetValue(Expected)!.FullName, weights, tolerance, DeviceChoice.Make(parsed.GetValue(Device)!).Device);
        return Report(console, report, parsed.GetValue(Dtype)!, tolerance, clock.Elapsed, json);
    }

    private static int Report(IAnsiConsole console, CheckpointReport report, string dtype, Tolerance tolerance, TimeSpan took, string? json)
    {
        var allowed = tolerance.Norm is { } norm ? $"{Number(norm)}·‖expected‖" : $"{Number(tolerance.Absolute)} + {Number(tolerance.Relative)}·|expected|";
        console.MarkupLineInterpolated($"{report.Family}, {report.Rows} rows of {report.Tokens} tokens, {dtype}; allowed: {allowed}");
        var table = new Table().Border(TableBorder.Simple).AddColumns("compared", "max |difference|", "of the largest", "of the norm", "outside", "");
        table.Columns[1].RightAligned();
        table.Columns[2].RightAligned();
        table.Columns[3].RightAligned();
        table.Columns[4].RightAligned();
        foreach (var difference in report.All)
        {
            table.AddRow(
                difference.Name, Number(difference.MaxAbsolute), Number(difference.MaxRelative), Number(difference.RelativeNorm), difference.Outside.ToString("N0", CultureInfo.InvariantCulture),
                difference.Agrees ? "[green]agrees[/]" : Markup.Escape(string.Create(CultureInfo.InvariantCulture, $"DIFFERS: {difference.Got:g7} and not {difference.Expected:g7}")));
        }

        if (report.GreedyMatches is { } matches)
        {
            table.AddRow("greedy_ids", "", "", "", "", matches ? "[green]agrees[/]" : report.JudgesIds ? "DIFFERS" : "differs, as it may");
        }

        console.Write(table);
        foreach (var difference in report.GreedyDifferences)
        {
            console.MarkupLineInterpolated($"{difference}");
        }

        Verdict(console, report.Passed, string.Create(CultureInfo.InvariantCulture, $"{took.TotalSeconds:0.0} s"));
        var hidden = report.Hidden.ToList();
        Write(json, new
        {
            report.Passed,
            report.Family,
            Dtype = dtype,
            MaxAbsHidden = hidden.Count == 0 ? (double?)null : hidden.Max(difference => difference.MaxAbsolute),
            MaxRelHidden = hidden.Count == 0 ? (double?)null : hidden.Max(difference => difference.MaxRelative),
            MaxAbsLogits = report.Logits?.MaxAbsolute,
            GreedyMatch = report.GreedyMatches,
            SteerMaxAbs = report.Steered?.MaxAbsolute,
            AblateMaxAbs = report.Ablated?.MaxAbsolute,
            EmbedMaxAbs = report.Embedding?.MaxAbsolute,
            Layers = report.Layers.Select(entry => new { entry.Layer, MaxAbs = entry.Difference.MaxAbsolute }),
            MaxRelNorm = report.All.Max(difference => (double?)difference.RelativeNorm),
            Tolerance = new { Atol = tolerance.Absolute, Rtol = tolerance.Relative, tolerance.Norm },
        });
        return report.Passed ? 0 : 1;
    }

    private static int Report(IAnsiConsole console, CaseReport report, string what, string? json)
    {
        foreach (var failed in report.Failed.Take(ShownCases))
        {
            console.MarkupLineInterpolated($"[red]{Shown(failed.Text)}[/]");
            console.MarkupLineInterpolated($"  expected  {Shown(failed.Expected)}");
            console.MarkupLineInterpolated($"  got       {Shown(failed.Got)}");
        }

        if (report.Failed.Count > ShownCases)
        {
            console.MarkupLineInterpolated($"and {report.Failed.Count - ShownCases} more, which --json lists");
        }

        Verdict(console, report.Passed, $"{report.Cases - report.Failed.Count} of {report.Cases} {what} agree");
        Write(json, new { report.Passed, report.Cases, report.Failed });
        return report.Passed ? 0 : 1;
    }

    private static void Verdict(IAnsiConsole console, bool passed, string facts) =>
        console.MarkupLine($"{(passed ? "[green]passed[/]" : "[red]failed[/]")}: {Markup.Escape(facts)}");

    private static string Number(double value) => value.ToString("0.0e+0", CultureInfo.InvariantCulture);

    /// <summary>A text on one line, in quotes.</summary>
    private static string Shown(string text) =>
        JsonSerializer.Serialize(text.Length > ShownText ? text[..ShownText] + "…" : text, JsonOptions);

    private static void Write(string? target, object facts)
    {
        if (target is null)
        {
            return;
        }

        var text = JsonSerializer.Serialize(facts, JsonOptions) + "\n";
        if (target == "-")
        {
            System.Console.Out.Write(text);
            return;
        }

        try
        {
            File.WriteAllText(target, text);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"--json {target}: cannot be written: {e.Message}", e);
        }
    }

    private static IAnsiConsole Console(TextWriter writer, bool redirected)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = redirected ? AnsiSupport.No : AnsiSupport.Detect,
        });
        if (redirected)
        {
            console.Profile.Width = 160; // a table that goes to a file is not cut to 80 columns
        }

        return console;
    }
}

using System.CommandLine;
using System.Globalization;
using LrtMesh.Client;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh extract</c>: hidden states of texts as a safetensors file.</summary>
internal static class ExtractCommand
{
    private const int TextsPerBatch = 64;
    private const int CharactersPerBatch = 1 << 20; // Keeps a batch under gRPC's 4 MiB, at 3 bytes a character.
    private const int CharactersPerSpan = 5; // What a span takes in it: 14 bytes.

    private static readonly Option<string> ModelName = new("--model") { Description = "Name of the model.", HelpName = "MODEL", DefaultValueFactory = _ => Inputs.SmallModel };

    private static readonly Option<uint[]> Layers = Inputs.Layers("--layers", "Layers wanted: the output of block L, counted from 0.");

    private static readonly Option<string?> Text = new("--text") { Description = "One text to read.", HelpName = "TEXT" };

    private static readonly Option<string?> TextFile = new("--file") { Description = "Texts to read: a .txt file with one text on each line, or a .jsonl file with {\"text\": ...} on each line.", HelpName = "FILE" };

    private static readonly Option<string> OutFile = new("--out") { Description = "The file to write.", HelpName = "FILE.safetensors", Required = true };

    private static readonly Option<string> Tokens = Inputs.Choice("--tokens", "Which tokens of each text count.", "all", "last");

    private static readonly Option<string[]> Index = new("--index") { Description = "Only the tokens at these positions count, from 0, or from the text's end: -1 is the last.", HelpName = "I[,J]", AllowMultipleArgumentsPerToken = true };

    private static readonly Option<string[]> Range = new("--range") { Description = "Only the tokens from A to before B (to the end without B) count; may be repeated.", HelpName = "A..[B]" };

    private static readonly Option<bool> ExcludeSpecial = new("--exclude-special") { Description = "Of these, leave out special tokens." };

    private static readonly Option<string> Reduce = Inputs.Choice(
        "--reduce",
        "What becomes of the tokens that count: a row each; a row a text, their mean or the last; or a row a span, their mean, spans being in characters (UTF-16) or tokens.",
        "none",
        "mean",
        "last",
        "char-spans",
        "token-spans");

    private static readonly Option<string[]> SpanOf = new("--span") { Description = "With --text and --reduce by span: from A to before B; may be repeated. With --file each line has its own: {\"text\": ..., \"spans\": [[A, B], ...]}.", HelpName = "A..B" };

    private static readonly Option<bool> AddSpecialTokens = new("--add-special-tokens") { Description = "Add the special tokens that the model expects at the start of a text." };

    private static readonly Option<uint> MaxTokens = new("--max-tokens") { Description = "Longest text in tokens; longer ones are cut there. Default: the model's context.", HelpName = "N" };

    private static readonly Option<string> DTypeName = Inputs.Choice("--dtype", "Element type of the rows.", "float32", "float16", "bfloat16", "float64");

    private static readonly Option<ulong> CreditBytes = new("--credit-bytes") { Description = "Bytes of rows that may be on their way at once. Default: what the connection's windows hold.", HelpName = "N" };

    public static Command Create()
    {
        var command = new Command("extract", """
            Writes the hidden states of texts to a safetensors file: for each layer a tensor "layer.L" [rows, width], and
            beside it "sequence", "position", "token_id", "char_start" and "char_end", one entry a row; for means over tokens
            also "position_end", for spans "span". Tokens are chosen and rows reduced where the model is: only rows travel.

            Example: lrtmesh extract --model tiny-small --layers 1,2 --reduce mean --text "The dog came home." --out states.safetensors
            """)
        { ModelName, Layers, Text, TextFile, OutFile, Tokens, Index, Range, ExcludeSpecial, Reduce, SpanOf, AddSpecialTokens, MaxTokens, DTypeName, CreditBytes };
        command.Validators.Add(result =>
        {
            if (result.GetValue(Text) is null == result.GetValue(TextFile) is null)
            {
                result.AddError("Give the texts: either --text TEXT or --file FILE.");
            }

            string[] indices = result.GetValue(Index) ?? [], ranges = result.GetValue(Range) ?? [], spans = result.GetValue(SpanOf) ?? [];
            if (new[] { result.GetValue(Tokens) == "last", indices.Length > 0, ranges.Length > 0 }.Count(chosen => chosen) > 1)
            {
                result.AddError("Of --tokens last, --index and --range give one.");
            }

            foreach (string value in indices.Where(value => ParseIndices(value) is null))
            {
                result.AddError($"--index '{value}': expected positions separated by commas, such as 0,5,-1.");
            }

            foreach (string value in ranges.Where(value => Inputs.ParseRange(value) is null))
            {
                result.AddError($"--range '{value}': expected A..B or A.., such as 4..12.");
            }

            foreach (string value in spans.Where(value => Inputs.ParseRange(value)?.End is null))
            {
                result.AddError($"--span '{value}': expected A..B, such as 4..12.");
            }

            bool bySpan = result.GetValue(Reduce)?.EndsWith("-spans", StringComparison.Ordinal) ?? false;
            if (spans.Length > 0 != (bySpan && result.GetValue(Text) is not null))
            {
                result.AddError("--span belongs to --text with --reduce char-spans or token-spans, and these to it.");
            }
        });
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        string path = run.Get(OutFile);
        var (spec, dtypeInFile) = Spec(run);

        await using var mesh = await run.OpenMeshAsync();
        var model = await mesh.FindModelAsync(spec.Model, run.Cancellation);
        await using var writer = new SafetensorsWriter(path);
        var layers = spec.Layers.Select(layer => writer.Add($"layer.{layer}", dtypeInFile, Tensors.ElementSize(spec.Dtype), model.Model.Width)).ToArray();
        var labels = Labels(spec.Reduction).ToDictionary(label => writer.Add(label.Name, "I64", sizeof(long), rowWidth: null), label => label.Of);
        long texts = 0, rows = 0;
        try
        {
            await run.Terminal.ProgressAsync("reading texts", async report =>
            {
                // No deadline: a file may be of any length.
                await foreach (var block in model.Role.Extraction.ReadHiddenStatesAsync(spec, Batches(Texts(run, spec.Reduction)), cancellation: run.Cancellation))
                {
                    CheckModel(block.Started, model);
                    foreach (var (tensor, label) in labels)
                    {
                        tensor.Append(label(block.Labels));
                    }

                    for (int i = 0; i < layers.Length; i++)
                    {
                        layers[i].Append(block.Bytes[i].Span);
                    }

                    block.Dispose();
                    (texts, rows) = (block.Labels.Sequence[^1] + 1, rows + block.Labels.Sequence.Count);
                    report(rows, 0);
                }

                return rows;
            });
        }
        catch (BrokenTensorException e)
        {
            throw new CommandException($"What the extraction server sent is not what was asked for: {e.Message}.", inner: e);
        }

        var metadata = new Dictionary<string, string>
        {
            ["model"] = model.Name,
            ["model_digest"] = model.Model.Digest,
            ["layers"] = string.Join(',', spec.Layers),
            ["reduction"] = run.Get(Reduce),
        };
        await writer.FinishAsync(metadata, run.Cancellation);

        run.Terminal.Out.MarkupLineInterpolated($"{path}: {rows} rows of {texts} texts, layers {metadata["layers"]} of {model.Name}, width {model.Model.Width}, {run.Get(DTypeName)}");
        await run.WriteJsonAsync(new
        {
            File = path,
            FileDigest = BehaviourSet.DigestOf(path),
            Model = model.Name,
            ModelDigest = model.Model.Digest,
            Layers = spec.Layers.ToArray(),
            model.Model.Width,
            Dtype = run.Get(DTypeName),
            Reduction = run.Get(Reduce),
            Texts = texts,
            Rows = rows,
        });
    }

    private static (ExtractionSpec Spec, string DtypeInFile) Spec(CommandRun run)
    {
        var (dtype, dtypeInFile) = run.Get(DTypeName) switch
        {
            "float16" => (Dtype.Float16, "F16"),
            "bfloat16" => (Dtype.Bfloat16, "BF16"),
            "float64" => (Dtype.Float64, "F64"),
            _ => (Dtype.Float32, "F32"),
        };
        var selection = new TokenSelection { Rule = run.Get(Tokens) == "last" ? TokenRule.Last : TokenRule.All, ExcludeSpecial = run.Get(ExcludeSpecial) };
        selection.Indices.AddRange((run.Parse.GetValue(Index) ?? []).SelectMany(value => ParseIndices(value)!));
        foreach (string value in run.Parse.GetValue(Range) ?? [])
        {
            var (start, end) = Inputs.ParseRange(value)!.Value;
            selection.Ranges.Add(end is { } last ? new TokenRange { Start = start, End = last } : new TokenRange { Start = start });
        }

        selection.Rule = selection.Indices.Count > 0 ? TokenRule.Indices : selection.Ranges.Count > 0 ? TokenRule.Ranges : selection.Rule;
        var spec = new ExtractionSpec
        {
            Model = run.Get(ModelName),
            Layers = { run.Get(Layers) },
            Dtype = dtype,
            AddSpecialTokens = run.Get(AddSpecialTokens),
            MaxTokens = run.Get(MaxTokens),
            Tokens = selection,
            Reduction = run.Get(Reduce) switch
            {
                "mean" => Reduction.Mean,
                "last" => Reduction.Last,
                "char-spans" => Reduction.MeanOfCharSpans,
                "token-spans" => Reduction.MeanOfTokenSpans,
                _ => Reduction.None,
            },
            CreditBytes = run.Get(CreditBytes),
        };
        return (spec, dtypeInFile);
    }

    // What a file has of a row beside its state.
    private static IEnumerable<(string Name, Func<RowBlock, IEnumerable<uint>> Of)> Labels(Reduction reduction)
    {
        yield return ("sequence", rows => rows.Sequence);
        yield return ("position", rows => rows.Position);
        yield return ("token_id", rows => rows.TokenId);
        yield return ("char_start", rows => rows.CharStart);
        yield return ("char_end", rows => rows.CharEnd);
        if (reduction is not (Reduction.None or Reduction.Last))
        {
            yield return ("position_end", rows => rows.PositionEnd);
        }

        if (BySpan(reduction))
        {
            yield return ("span", rows => rows.Span);
        }
    }

    private static bool BySpan(Reduction reduction) => reduction is Reduction.MeanOfCharSpans or Reduction.MeanOfTokenSpans;

    private static IEnumerable<(string Text, IReadOnlyList<Span> Spans)> Texts(CommandRun run, Reduction reduction)
    {
        string? file = run.Parse.GetValue(TextFile);
        if (file is not null && BySpan(reduction))
        {
            return TextFiles.ReadSpans(file);
        }

        Span[] spans = [.. (run.Parse.GetValue(SpanOf) ?? []).Select(value => Inputs.ParseRange(value)!.Value).Select(range => new Span { Start = range.Start, End = range.End!.Value })];
        return (file is not null ? TextFiles.ReadTexts(file) : [run.Parse.GetValue(Text)!]).Select(text => (text, (IReadOnlyList<Span>)spans));
    }

    /// <summary>Texts in batches of a bounded number and size.</summary>
    internal static IEnumerable<TextBatch> Batches(IEnumerable<(string Text, IReadOnlyList<Span> Spans)> texts)
    {
        var batch = new TextBatch();
        int characters = 0;
        foreach (var (text, spans) in texts)
        {
            int length = text.Length + (CharactersPerSpan * spans.Count);
            if (batch.Texts.Count == TextsPerBatch || (batch.Texts.Count > 0 && characters + length > CharactersPerBatch))
            {
                yield return batch;
                batch = new TextBatch();
                characters = 0;
            }

            batch.Texts.Add(text);
            if (spans.Count > 0)
            {
                batch.Spans.Add(new TextSpans { Spans = { spans } });
            }

            characters += length;
        }

        if (batch.Texts.Count > 0)
        {
            yield return batch;
        }
    }

    private static int[]? ParseIndices(string text)
    {
        string[] parts = text.Split(',');
        var indices = new int[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            if (!int.TryParse(parts[i], NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out indices[i]))
            {
                return null;
            }
        }

        return indices;
    }

    private static void CheckModel(ExtractionStarted started, LocatedModel model)
    {
        if (started.Width != model.Model.Width || started.ModelDigest != model.Model.Digest)
        {
            throw new CommandException($"{model.Name} was replaced by another model meanwhile.", "Run the command again.");
        }
    }
}

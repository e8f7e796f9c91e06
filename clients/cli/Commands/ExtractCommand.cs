using System.CommandLine;
using Grpc.Core;
using LrtMesh.V1;
using Spectre.Console;

namespace LrtMesh.Cli.Commands;

/// <summary><c>lrtmesh extract</c>: hidden states of texts as a safetensors file.</summary>
internal static class ExtractCommand
{
    private const int TextsPerBatch = 64;
    private const int CharactersPerBatch = 1 << 20; // Keeps a batch under gRPC's 4 MiB, at 3 bytes a character.

    // In the order of AppendLabels.
    private static readonly string[] LabelNames = ["sequence", "position", "token_id", "char_start", "char_end"];

    private static readonly Option<string> ModelName = new("--model") { Description = "Name of the model.", HelpName = "MODEL", DefaultValueFactory = _ => Inputs.SmallModel };

    private static readonly Option<uint[]> Layers = Inputs.Layers("--layers", "Layers wanted: the output of block L, counted from 0.");

    private static readonly Option<string?> Text = new("--text") { Description = "One text to read.", HelpName = "TEXT" };

    private static readonly Option<string?> TextFile = new("--file") { Description = "Texts to read: a .txt file with one text on each line, or a .jsonl file with {\"text\": ...} on each line.", HelpName = "FILE" };

    private static readonly Option<string> OutFile = new("--out") { Description = "The file to write.", HelpName = "FILE.safetensors", Required = true };

    private static readonly Option<string> DTypeName = Inputs.Choice("--dtype", "Element type of the rows.", "float32", "float16", "bfloat16");

    public static Command Create()
    {
        var command = new Command("extract", """
            Writes the hidden states of texts to a safetensors file: for each layer a tensor "layer.L" [tokens, width], and
            beside it "sequence", "position", "token_id", "char_start" and "char_end", one entry a token.

            Example: lrtmesh extract --model tiny-small --layers 1,2 --text "The dog came home." --out states.safetensors
            """)
        { ModelName, Layers, Text, TextFile, OutFile, DTypeName };
        command.Validators.Add(result =>
        {
            if (result.GetValue(Text) is null == result.GetValue(TextFile) is null)
            {
                result.AddError("Give the texts: either --text TEXT or --file FILE.");
            }
        });
        CommandRun.Set(command, RunAsync);
        return command;
    }

    private static async Task RunAsync(CommandRun run)
    {
        string path = run.Get(OutFile);
        var (dtype, dtypeInFile) = run.Get(DTypeName) switch
        {
            "float16" => (Dtype.Float16, "F16"),
            "bfloat16" => (Dtype.Bfloat16, "BF16"),
            _ => (Dtype.Float32, "F32"),
        };
        var spec = new ExtractionSpec { Model = run.Get(ModelName), Layers = { run.Get(Layers) }, Dtype = dtype };
        var texts = run.Parse.GetValue(TextFile) is { } file ? TextFiles.ReadTexts(file) : [run.Parse.GetValue(Text)!];

        await using var mesh = await run.OpenMeshAsync();
        var model = await mesh.FindModelAsync(spec.Model, run.Cancellation);
        await using var writer = new SafetensorsWriter(path);
        var layers = spec.Layers.Select(layer => writer.Add($"layer.{layer}", dtypeInFile, Tensors.ElementSize(dtype), model.Model.Width)).ToArray();
        var labels = LabelNames.Select(name => writer.Add(name, "I64", sizeof(long), rowWidth: null)).ToArray();
        string digest = "";
        var stream = new HiddenStateStream(
            spec,
            started => digest = CheckModel(started, model),
            rows => AppendLabels(labels, rows),
            (layer, bytes) => layers[layer].Append(bytes.Span));

        long sent = await run.Terminal.ProgressAsync("reading texts", report => StreamAsync(model, spec, texts, stream, () => labels[0].Rows, report, run.Cancellation));
        var metadata = new Dictionary<string, string> { ["model"] = model.Name, ["model_digest"] = digest, ["layers"] = string.Join(',', spec.Layers) };
        await writer.FinishAsync(metadata, run.Cancellation);

        long tokens = labels[0].Rows;
        run.Terminal.Out.MarkupLineInterpolated($"{path}: {tokens} tokens of {sent} texts, layers {metadata["layers"]} of {model.Name}, width {model.Model.Width}, {run.Get(DTypeName)}");
        await run.WriteJsonAsync(new
        {
            File = path,
            FileDigest = BehaviourSet.DigestOf(path),
            Model = model.Name,
            ModelDigest = digest,
            Layers = spec.Layers.ToArray(),
            model.Model.Width,
            Dtype = run.Get(DTypeName),
            Texts = sent,
            Tokens = tokens,
        });
    }

    // Sends and receives at once: the server answers each batch while the next is on its way.
    private static async Task<long> StreamAsync(
        LocatedModel model, ExtractionSpec spec, IEnumerable<string> texts, HiddenStateStream stream, Func<long> tokens, Action<long, long> report, CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        // No deadline: a file may be of any length.
        using var call = model.Role.Extraction.ExtractHiddenStates(cancellationToken: stop.Token);
        var sending = SendAsync(call.RequestStream, spec, texts, stop.Token);
        try
        {
            await foreach (var response in call.ResponseStream.ReadAllAsync(stop.Token))
            {
                stream.Take(response);
                report(tokens(), 0);
            }

            stream.Finish();
            return await sending;
        }
        catch
        {
            // The error that came first says more than the sender's, which follows from it; unless the texts were at fault.
            await stop.CancelAsync();
            await sending.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            if (sending.Exception?.InnerException is CommandException unreadable)
            {
                throw unreadable;
            }

            throw;
        }
    }

    private static async Task<long> SendAsync(IClientStreamWriter<ExtractHiddenStatesRequest> requests, ExtractionSpec spec, IEnumerable<string> texts, CancellationToken cancellation)
    {
        long sent = 0;
        await requests.WriteAsync(new ExtractHiddenStatesRequest { Spec = spec }, cancellation);
        try
        {
            foreach (var batch in Batches(texts))
            {
                await requests.WriteAsync(new ExtractHiddenStatesRequest { Batch = batch }, cancellation);
                sent += batch.Texts.Count;
            }
        }
        finally
        {
            await requests.CompleteAsync();
        }

        return sent;
    }

    /// <summary>Texts in batches of a bounded number and size.</summary>
    internal static IEnumerable<TextBatch> Batches(IEnumerable<string> texts)
    {
        var batch = new TextBatch();
        int characters = 0;
        foreach (string text in texts)
        {
            if (batch.Texts.Count == TextsPerBatch || (batch.Texts.Count > 0 && characters + text.Length > CharactersPerBatch))
            {
                yield return batch;
                batch = new TextBatch();
                characters = 0;
            }

            batch.Texts.Add(text);
            characters += text.Length;
        }

        if (batch.Texts.Count > 0)
        {
            yield return batch;
        }
    }

    private static string CheckModel(ExtractionStarted started, LocatedModel model) =>
        started.Width == model.Model.Width && started.ModelDigest == model.Model.Digest
            ? started.ModelDigest
            : throw new CommandException($"{model.Name} was replaced by another model meanwhile.", "Run the command again.");

    private static void AppendLabels(GrowingTensor[] labels, RowBlock rows)
    {
        labels[0].Append(rows.Sequence);
        labels[1].Append(rows.Position);
        labels[2].Append(rows.TokenId);
        labels[3].Append(rows.CharStart);
        labels[4].Append(rows.CharEnd);
    }
}

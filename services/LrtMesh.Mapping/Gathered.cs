using System.Globalization;
using Google.Protobuf;
using LrtMesh.Core;
using LrtMesh.Core.Maps;
using LrtMesh.V1;

namespace LrtMesh.Mapping;

/// <summary>What a job has gathered so far: moments, and how far it has read. It is saved and loaded as one file.</summary>
internal sealed class Gathered
{
    private const string LeftOut = "left_out_messages"; // not in moments that were saved before chats paired by their contents

    private readonly string _layers; // which layers of which models
    private readonly bool _sameTokens;
    private readonly int _window;

    private Gathered(MomentAccumulator moments, string layers, bool sameTokens, int window, SortedDictionary<string, long> tokens) =>
        (Moments, _layers, _sameTokens, _window, Tokens) = (moments, layers, sameTokens, window, tokens);

    /// <summary>The moments.</summary>
    public MomentAccumulator Moments { get; private init; }

    /// <summary>Documents read.</summary>
    public long Documents { get; private set; }

    /// <summary>Digest of the documents read, in their order.</summary>
    public string DataDigest { get; private set; } = "";

    /// <summary>Tokens of text that each model has read.</summary>
    public SortedDictionary<string, long> Tokens { get; }

    /// <summary>Tokens of each model that were paired.</summary>
    public long PairedTokens { get; private set; }

    /// <summary>Messages of chats that were left out, their contents not being found.</summary>
    public long LeftOutMessages { get; private set; }

    /// <summary>Whether all models split every text alike.</summary>
    public bool SameTokens => _sameTokens;

    /// <summary>Rows of the fit's folds, of the first pair, where a solver needs them; they are not saved.</summary>
    public TrainingRows? Rows { get; init; }

    /// <summary>Nothing gathered yet.</summary>
    public static Gathered Begin(MapPlan plan, IReadOnlyList<LocatedModel> models, FitOptions fit, long memory)
    {
        var moments = new MomentAccumulator(plan.Layout(models), FoldsOf(fit), fit.ShuffledControl);
        return new Gathered(moments, LayersOf(plan, models), AreSame(models), WindowOf(fit), new(plan.Models.ToDictionary(model => model, _ => 0L), StringComparer.Ordinal))
        {
            Rows = fit.Solver == MapSolver.Adamw ? new TrainingRows(moments.SourceWidth, moments.TargetWidth, memory) : null,
        };
    }

    /// <summary>Folds that a request asks for.</summary>
    public static int FoldsOf(FitOptions fit) => fit.Folds == 0 ? MapRequest.DefaultFolds : (int)fit.Folds;

    /// <summary>Loads what was saved.</summary>
    /// <param name="content">From where.</param>
    /// <param name="plan">What the job reads now.</param>
    /// <param name="models">The model of each layer now.</param>
    /// <param name="fit">How it fits now.</param>
    /// <param name="what">Whose moments, for errors.</param>
    /// <exception cref="LrtMeshException">DataLoss: damaged; FailedPrecondition: of other layers, models or folds.</exception>
    public static Gathered Load(Stream content, MapPlan plan, IReadOnlyList<LocatedModel> models, FitOptions fit, string what)
    {
        var (moments, job, _) = MomentFile.Load(content);
        var layers = LayersOf(plan, models);
        if (job["layers"] != layers || !moments.Layout.Pairs.SequenceEqual(plan.Pairs))
        {
            throw LrtMeshException.Mismatch(what, $"the moments are of {Written(job["layers"])}, and the job reads {Written(layers)}: layers, models and pairs must be the same");
        }

        if (moments.Folds != FoldsOf(fit) || moments.Shuffled != fit.ShuffledControl)
        {
            throw LrtMeshException.Mismatch(
                what, $"the moments have {moments.Folds} folds and {(moments.Shuffled ? "a" : "no")} shuffled control: fit.folds and fit.shuffled_control must be the same");
        }

        if (int.Parse(job["window"], CultureInfo.InvariantCulture) is var window && window != WindowOf(fit))
        {
            throw LrtMeshException.Mismatch(what, $"the moments are of windows of {window} tokens: fit.window must be the same");
        }

        var tokens = plan.Models.Order(StringComparer.Ordinal).Zip(job["tokens"].Split(',')).ToDictionary(t => t.First, t => long.Parse(t.Second, CultureInfo.InvariantCulture));
        return new Gathered(moments, layers, AreSame(models), WindowOf(fit), new(tokens, StringComparer.Ordinal))
        {
            Documents = long.Parse(job["documents"], CultureInfo.InvariantCulture),
            DataDigest = job["data_digest"],
            PairedTokens = long.Parse(job["paired_tokens"], CultureInfo.InvariantCulture),
            LeftOutMessages = long.Parse(job.GetValueOrDefault(LeftOut, "0"), CultureInfo.InvariantCulture),
        };
    }

    /// <summary>Writes all of it.</summary>
    public void Save(Stream content)
    {
        MomentFile.Save(content, Moments, new Dictionary<string, string>
        {
            ["layers"] = _layers,
            ["window"] = _window.ToString(CultureInfo.InvariantCulture),
            ["documents"] = Documents.ToString(CultureInfo.InvariantCulture),
            ["data_digest"] = DataDigest,
            ["paired_tokens"] = PairedTokens.ToString(CultureInfo.InvariantCulture),
            [LeftOut] = LeftOutMessages.ToString(CultureInfo.InvariantCulture),
            ["tokens"] = string.Join(',', Tokens.Values.Select(count => count.ToString(CultureInfo.InvariantCulture))),
        });
        content.Position = 0;
    }

    /// <summary>Adds a batch of documents.</summary>
    /// <param name="batch">The documents.</param>
    /// <param name="plan">Layers and models.</param>
    /// <param name="readings">Of each model, what it made of each document.</param>
    /// <exception cref="LrtMeshException">FailedPrecondition: nothing pairs, since no content of a chat is found in what a template makes of it.</exception>
    public void Add(IReadOnlyList<Document> batch, MapPlan plan, IReadOnlyList<IReadOnlyList<TextStates>> readings)
    {
        LrtMeshException? notFound = null;
        var (rows, refused) = (Moments.Rows, Moments.RefusedRows);
        for (var i = 0; i < batch.Count; i++)
        {
            var pairing = AddDocument(plan, [.. readings.Select(reading => reading[i])]);
            if (notFound is null && pairing.LeftOut.Count > 0)
            {
                var (message, model) = pairing.LeftOut.First();
                notFound = LrtMeshException.Mismatch(
                    $"documents[{Documents}].chat.messages[{message}].content",
                    $"is not found in the text that the chat template of {plan.Models[model]} makes of the chat (it drops it, changes it or writes it twice), and no other content could be paired so far");
            }

            Documents++;
        }

        FitMetrics.Gathered(Moments.Rows - rows, Moments.RefusedRows - refused);
        if (PairedTokens == 0 && notFound is not null)
        {
            throw notFound;
        }

        DataDigest = Chain(DataDigest, batch);
    }

    /// <summary>Adds what another job has gathered.</summary>
    public void Add(Gathered other)
    {
        Moments.Add(other.Moments);
        Documents += other.Documents;
        PairedTokens += other.PairedTokens;
        LeftOutMessages += other.LeftOutMessages;
        foreach (var (model, count) in other.Tokens)
        {
            Tokens[model] += count;
        }

        using var digest = new ContentDigest();
        DataDigest = digest.Add(DataDigest).Add(other.DataDigest).Finish();
    }

    private RowPairing AddDocument(MapPlan plan, TextStates[] readings)
    {
        var pairing = RowPairing.Of(readings, _sameTokens, Documents);
        PairedTokens += pairing.Rows[0].Length;
        LeftOutMessages += pairing.LeftOut.Count;
        for (var model = 0; model < readings.Length; model++)
        {
            Tokens[plan.Models[model]] += pairing.Tokens[model];
        }

        var next = new int[readings.Length]; // layers of a model are in the plan's order
        var layers = new ReadOnlyMemory<float>[plan.Layers.Count];
        for (var layer = 0; layer < layers.Length; layer++)
        {
            var model = plan.ModelOf(layer);
            var width = Moments.Layout.Widths[layer];
            var states = readings[model].Layers[next[model]++];
            layers[layer] = WindowMeans.Of(Select(states, pairing.Rows[model], width), width, _window);
        }

        var fold = (int)(Documents % Moments.Folds);
        Moments.AddFinite(fold, layers);
        if (fold != Moments.HeldOutFold)
        {
            Rows?.Add(layers[plan.Pairs[0].X].Span, layers[plan.Pairs[0].Y].Span);
        }

        return pairing;
    }

    internal static ReadOnlyMemory<float> Select(ReadOnlyMemory<float> states, int[] rows, int width)
    {
        // Between models of one tokenizer the rows follow each other, and need no copy.
        if (rows.Length > 0 && rows[^1] - rows[0] == rows.Length - 1)
        {
            return states.Slice(rows[0] * width, rows.Length * width);
        }

        var selected = new float[rows.Length * width];
        for (var i = 0; i < rows.Length; i++)
        {
            states.Span.Slice(rows[i] * width, width).CopyTo(selected.AsSpan(i * width));
        }

        return selected;
    }

    internal static string Chain(string before, IReadOnlyList<Document> batch)
    {
        using var digest = new ContentDigest();
        digest.Add(before);
        foreach (var document in batch)
        {
            digest.Add(document.Text);
            if (document.Chat is { } chat)
            {
                digest.Add("chat").AddBytes(chat.ToByteArray());
            }
        }

        return digest.Finish();
    }

    private static string LayersOf(MapPlan plan, IReadOnlyList<LocatedModel> models) =>
        string.Join(' ', plan.Layers.Zip(models, (layer, model) => $"{layer.Layer.Model}:{layer.Layer.Layer}@{model.Model.Digest}"));

    private static string Written(string layers) => string.Join(", ", layers.Split(' ').Select(layer => layer[..Math.Min(layer.Length, layer.IndexOf('@') + 20)]));

    private static int WindowOf(FitOptions fit) => Math.Max(1, (int)fit.Window);

    private static bool AreSame(IReadOnlyList<LocatedModel> models) => models.Select(model => model.Model.TokenizerDigest).Distinct().Count() == 1;
}

using Google.Protobuf;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Steering;
using LrtMesh.ServiceDefaults;
using LrtMesh.V1;

namespace LrtMesh.Extraction;

/// <summary>Learns vectors from contrast pairs and stores them.</summary>
public sealed class VectorLearner(ModelRegistry models, StoreConnection connection, ILogger<VectorLearner> logger)
{
    private const int MinPairs = 2;
    private const int MaxPairs = 4096;

    /// <summary>Learns one vector a layer.</summary>
    /// <exception cref="LrtMeshException">NotFound: the model; InvalidArgument or OutOfRange, naming every wrong field; Unavailable: the store.</exception>
    public async Task<IReadOnlyList<LearntVector>> LearnAsync(LearnVectorRequest request, CancellationToken cancellation)
    {
        var model = models.Find(request.Model, "model");
        var names = request.Layers.Select(layer => request.Layers.Count == 1 ? request.Name : $"{request.Name}@{layer}").ToArray();
        Check(request, names, model);
        var tokens = Split(request.Pairs, model);
        var read = await ReadAsync(model, tokens, [.. request.Layers.Select(layer => (int)layer)], request.Position, cancellation);

        // All are learnt before the first is stored: a request that fails leaves nothing behind.
        var learnt = new (SteeringVector Vector, double Auc, double MeanHiddenNorm)[names.Length];
        for (var layer = 0; layer < names.Length; layer++)
        {
            var direction = DifferenceOfMeans.Learn(
                [.. read[layer].States.Where((_, text) => text % 2 == 0)], [.. read[layer].States.Where((_, text) => text % 2 == 1)]);
            var vector = SteeringVector.Create(Describe(request, names[layer], request.Layers[layer], model), direction.Direction);
            learnt[layer] = (vector, direction.Auc, read[layer].MeanNorm);
        }

        var stored = new List<LearntVector>(names.Length);
        foreach (var (vector, auc, meanHiddenNorm) in learnt)
        {
            var info = (await connection.Store.Vectors.PutAsync(vector, cancellation)).Info;
            stored.Add(new LearntVector { Vector = info, Auc = auc, MeanHiddenNorm = meanHiddenNorm });
            ExtractionLog.Learnt(logger, info.Name, info.Layer, info.Model, request.Pairs.Count, auc);
        }

        return stored;
    }

    private static void Check(LearnVectorRequest request, string[] names, LoadedModel model)
    {
        var check = new RequestCheck();
        check.Name(names.MaxBy(name => name.Length) ?? request.Name, "name");
        check.Layers(request.Layers, "layers", model);
        check.Require(request.Pairs.Count is >= MinPairs and <= MaxPairs, "pairs", $"must be {MinPairs} to {MaxPairs} pairs, not {request.Pairs.Count}");
        for (var i = 0; i < request.Pairs.Count; i++)
        {
            var pair = request.Pairs[i];
            CheckSide(pair.Positive, pair.PositiveChat, $"pairs[{i}].positive", check);
            CheckSide(pair.Negative, pair.NegativeChat, $"pairs[{i}].negative", check);
        }

        if (check.Known(request.Method, "method"))
        {
            check.Require(
                request.Method is VectorMethod.Unspecified or VectorMethod.DifferenceOfMeans, "method", $"must be VECTOR_METHOD_DIFFERENCE_OF_MEANS: {request.Method} is not learnt from pairs");
        }

        check.Known(request.Position, "position");
        check.Throw();
    }

    private static void CheckSide(string text, Chat? chat, string field, RequestCheck check)
    {
        if (chat is null)
        {
            check.Require(text.Length > 0, field, "must not be empty");
        }
        else
        {
            check.Require(text.Length == 0, field, $"must be empty where there is {field}_chat");
        }
    }

    /// <summary>Texts are split as prompts are, special tokens included, so that a vector meets the states that it was learnt from.</summary>
    private static TextToken[][] Split(IReadOnlyList<ContrastPair> pairs, LoadedModel model)
    {
        TextToken[] Side(string text, Chat? chat, string field) => chat is null
            ? [.. model.Tokenizer.Encode(text, addSpecialTokens: true)]
            : [.. model.Encode(chat, addGenerationPrompt: false, field)];
        var tokens = pairs.SelectMany((pair, i) => new[]
        {
            Side(pair.Positive, pair.PositiveChat, $"pairs[{i}].positive_chat"), Side(pair.Negative, pair.NegativeChat, $"pairs[{i}].negative_chat"),
        }).ToArray();
        var check = new RequestCheck();
        for (var i = 0; i < tokens.Length; i++)
        {
            check.RequireRange(
                tokens[i].Length <= model.Description.Context,
                $"pairs[{i / 2}].{(i % 2 == 0 ? "positive" : "negative")}",
                $"has {tokens[i].Length} tokens, and {model.Name} reads at most {model.Description.Context}");
        }

        check.Throw();
        return tokens;
    }

    /// <summary>Reads the texts at each layer.</summary>
    private static async Task<LayerStates[]> ReadAsync(
        LoadedModel model, TextToken[][] tokens, int[] layers, LearnPosition position, CancellationToken cancellation)
    {
        var read = layers.Select(_ => new LayerStates((int)model.Description.Width, tokens.Length)).ToArray();
        var ids = tokens.Select(text => Array.ConvertAll(text, token => token.Id)).ToArray();
        await model.ReadStatesAsync(
            ids,
            layers,
            (text, layer, states) =>
            {
                // Tokens that were added around a text are not part of it.
                var rows = position == LearnPosition.Mean
                    ? [.. Enumerable.Range(0, tokens[text].Length).Where(row => tokens[text][row].End > tokens[text][row].Start)]
                    : new[] { tokens[text].Length - 1 };
                read[layer].Add(text, states, rows);
            },
            cancellation);
        return read;
    }

    /// <summary>The states that stand for the texts at one layer, and the lengths of the rows that they are means of.</summary>
    private sealed class LayerStates(int width, int texts)
    {
        private double _norms;
        private int _rows;

        /// <summary>One entry a text, [width].</summary>
        public float[][] States { get; } = new float[texts][];

        public double MeanNorm => _norms / _rows;

        /// <summary>Adds a text.</summary>
        /// <param name="text">Which.</param>
        /// <param name="hidden">[tokens, width].</param>
        /// <param name="rows">The tokens whose mean stands for it.</param>
        public void Add(int text, ReadOnlySpan<float> hidden, int[] rows)
        {
            var sums = new double[width];
            foreach (var row in rows)
            {
                var squares = 0.0;
                for (var i = 0; i < width; i++)
                {
                    double element = hidden[(row * width) + i];
                    sums[i] += element;
                    squares += element * element;
                }

                _norms += Math.Sqrt(squares);
            }

            _rows += rows.Length;
            States[text] = Array.ConvertAll(sums, sum => (float)(sum / rows.Length));
        }
    }

    private static Vector Describe(LearnVectorRequest request, string name, uint layer, LoadedModel model)
    {
        using var digest = new ContentDigest();
        digest.Add("pairs");
        foreach (var pair in request.Pairs)
        {
            digest.Add(pair.Positive).Add(pair.Negative);
            foreach (var chat in new[] { pair.PositiveChat, pair.NegativeChat }.OfType<Chat>())
            {
                digest.Add("chat").AddBytes(chat.ToByteArray());
            }
        }

        return new Vector
        {
            Name = name,
            Model = model.Name,
            ModelDigest = model.Description.Digest,
            Layer = layer,
            Provenance = new VectorProvenance
            {
                Method = VectorMethod.DifferenceOfMeans,
                DataDigest = digest.Finish(),
                Pairs = (uint)request.Pairs.Count,
                Position = request.Position == LearnPosition.Unspecified ? LearnPosition.Last : request.Position,
            },
        };
    }
}

using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Google.Protobuf;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.Core.Steering;
using LrtMesh.Core.Steering.Learning;
using LrtMesh.Core.Store;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Limits;
using LrtMesh.V1;

namespace LrtMesh.Extraction;

/// <summary>Learns vectors from contrast pairs and stores them.</summary>
public sealed class VectorLearner(ModelRegistry models, ILogger<VectorLearner> logger)
{
    private const int MinPairs = 2;
    private const int MaxPairs = 4096;
    private const double MinLambda = 1e-6;
    private const double MaxLambda = 1e3;

    /// <summary>Learns one vector a layer, from one pass over the texts.</summary>
    /// <exception cref="LrtMeshException">NotFound: the model; InvalidArgument or OutOfRange, naming every wrong field; Unavailable: the store.</exception>
    public async Task<LearnVectorResponse> LearnAsync(LearnVectorRequest request, VectorStore vectors, TenantUse use, CancellationToken cancellation)
    {
        using var lent = models.Lend(request.Model, "model");
        var model = lent.Model;
        var names = request.Layers.Select(layer => request.Layers.Count == 1 ? request.Name : $"{request.Name}@{layer}").ToArray();
        Check(request, names, model);
        var lambda = request.Method == VectorMethod.LogisticProbe ? request.HasProbeLambda ? request.ProbeLambda : LearntDirection.DefaultProbeLambda : 0;
        var folds = HeldOutFolds.Of([.. request.Pairs.Select(pair => (KeyOf(pair.Positive, pair.PositiveChat), KeyOf(pair.Negative, pair.NegativeChat)))]);
        var tokens = Split(request.Pairs, model, request.Position);
        use.UseTokens(tokens.Sum(text => text.Length));
        var read = await ReadAsync(model, tokens, [.. request.Layers.Select(layer => (int)layer)], request.Position, cancellation);

        // All are learnt before the first is stored: a request that fails leaves nothing behind.
        var learnt = new (SteeringVector Vector, Separation HeldOut, double MeanHiddenNorm)[names.Length];
        for (var layer = 0; layer < names.Length; layer++)
        {
            var states = PairedStates.From(read[layer].States, (int)model.Description.Width);
            var direction = LearntDirection.Learn(states, folds, MethodOf(request), lambda, cancellation);
            var info = Describe(request, names[layer], request.Layers[layer], model);
            info.Provenance.Auc = direction.HeldOut.Auc;
            info.Provenance.ProbeLambda = lambda;
            learnt[layer] = (SteeringVector.Create(info, direction.Elements), direction.HeldOut, read[layer].MeanNorm);
        }

        var response = new LearnVectorResponse { RecommendedLayer = request.Layers[Separation.Best([.. learnt.Select(vector => vector.HeldOut)])] };
        foreach (var (vector, heldOut, meanHiddenNorm) in learnt)
        {
            var info = (await vectors.PutAsync(vector, cancellation)).Info;
            response.Vectors.Add(new LearntVector
            {
                Vector = info,
                Auc = heldOut.Auc,
                Correlation = heldOut.Correlation,
                HeldOutPairs = (uint)folds.Length,
                MeanHiddenNorm = meanHiddenNorm,
            });
            ExtractionLog.Learnt(logger, info.Name, info.Layer, info.Model, request.Pairs.Count, heldOut.Auc);
        }

        return response;
    }

    private static VectorMethod MethodOf(LearnVectorRequest request) => request.Method == VectorMethod.Unspecified ? VectorMethod.DifferenceOfMeans : request.Method;

    private static string KeyOf(string text, Chat? chat) => chat is null ? $"text {text}" : $"chat {chat.ToByteString().ToBase64()}";

    private static void Check(LearnVectorRequest request, string[] names, LoadedModel model)
    {
        var check = new RequestCheck();
        check.Name(names.MaxBy(name => name.Length) ?? request.Name, "name");
        check.Layers(request.Layers, "layers", model);
        check.Require(request.Pairs.Count is >= MinPairs and <= MaxPairs, "pairs", $"must be {MinPairs} to {MaxPairs} pairs, not {request.Pairs.Count}");
        check.Gather(() => PairedStates.RequireRoom(request.Pairs.Count, request.Layers.Count, model.Description.Width));
        for (var i = 0; i < request.Pairs.Count; i++)
        {
            var pair = request.Pairs[i];
            CheckSide(pair.Positive, pair.PositiveChat, $"pairs[{i}].positive", check);
            CheckSide(pair.Negative, pair.NegativeChat, $"pairs[{i}].negative", check);
        }

        if (check.Known(request.Method, "method"))
        {
            check.Require(
                MethodOf(request) is VectorMethod.DifferenceOfMeans or VectorMethod.PcaOfDifferences or VectorMethod.LogisticProbe,
                "method",
                $"must be VECTOR_METHOD_DIFFERENCE_OF_MEANS, VECTOR_METHOD_PCA_OF_DIFFERENCES or VECTOR_METHOD_LOGISTIC_PROBE: {request.Method} is not learnt from pairs");
        }

        if (request.HasProbeLambda)
        {
            check.Require(request.Method == VectorMethod.LogisticProbe, "probe_lambda", "must be unset: method is not VECTOR_METHOD_LOGISTIC_PROBE");
            check.Require(request.ProbeLambda is >= MinLambda and <= MaxLambda, "probe_lambda", $"must be {MinLambda} to {MaxLambda}, not {request.ProbeLambda}");
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
    private static TextToken[][] Split(IReadOnlyList<ContrastPair> pairs, LoadedModel model, LearnPosition position)
    {
        TextToken[] Side(string text, Chat? chat, string field) => chat is null ? [.. model.Tokenizer.Encode(text, addSpecialTokens: true)]
            : position == LearnPosition.LastContent ? UpToContent(chat, field)
            : [.. model.Encode(chat, addGenerationPrompt: false, field)];
        var tokens = pairs.SelectMany((pair, i) => new[]
        {
            Side(pair.Positive, pair.PositiveChat, $"pairs[{i}].positive_chat"), Side(pair.Negative, pair.NegativeChat, $"pairs[{i}].negative_chat"),
        }).ToArray();
        var check = new RequestCheck();
        for (var i = 0; i < tokens.Length; i++)
        {
            var field = $"pairs[{i / 2}].{(i % 2 == 0 ? "positive" : "negative")}";
            check.Require(tokens[i].Length > 0, field, $"must hold at least one token: the tokenizer of {model.Name} leaves nothing of it");
            check.RequireRange(
                tokens[i].Length <= model.Description.Context,
                field,
                $"has {tokens[i].Length} tokens, and {model.Name} reads at most {model.Description.Context}");
        }

        check.Throw();
        return tokens;

        // What the template writes after the content is not read: states look back alone.
        TextToken[] UpToContent(Chat chat, string field)
        {
            var (encoded, contents) = model.EncodeWithContents(chat, addGenerationPrompt: false, field);
            var last = contents.FirstOrDefault(content => content.Message == chat.Messages.Count - 1);
            var end = Array.FindLastIndex([.. encoded], token => token.Start < last.End && token.End > last.Start);
            return end >= 0 ? [.. encoded.Take(end + 1)] : throw LrtMeshException.Mismatch(
                field, $"{model.Name}'s chat template does not write the last message's content as it is, so that its last token cannot be found; take another position");
        }
    }

    /// <summary>Reads the texts at each layer.</summary>
    private static async Task<LayerStates[]> ReadAsync(
        LoadedModel model, TextToken[][] tokens, int[] layers, LearnPosition position, CancellationToken cancellation)
    {
        var width = (int)model.Description.Width;
        // Tokens that were added around a text are not part of it.
        var choices = Array.ConvertAll(tokens, text => position == LearnPosition.Mean
            ? [.. Enumerable.Range(0, text.Length).Where(token => text[token].End > text[token].Start)]
            : new[] { text.Length - 1 });
        var read = Array.ConvertAll(layers, _ => new LayerStates(width, choices));
        await model.ReadStatesAsync(Array.ConvertAll(tokens, text => Array.ConvertAll(text, token => token.Id)), layers, (text, layer, states) => read[layer].Take(text, states), cancellation);
        return read;
    }

    /// <summary>The states that stand for the texts at one layer, and the lengths of the tokens' states that they are means of.</summary>
    private sealed class LayerStates(int width, int[][] choices)
    {
        private double _norms;

        /// <summary>[texts, width].</summary>
        public float[] States { get; } = new float[choices.Length * width];

        public double MeanNorm => _norms / choices.Sum(choice => choice.Length);

        /// <summary>Takes a text's states, [tokens, width].</summary>
        public void Take(int text, ReadOnlySpan<float> hidden)
        {
            var choice = new RowChoice(choices[text], [choices[text].Length]);
            choice.Write(hidden, width, Dtype.Float32, MemoryMarshal.AsBytes(States.AsSpan(text * width, width)));
            foreach (var token in choice.Tokens)
            {
                _norms += TensorPrimitives.Norm(hidden.Slice(token * width, width));
            }
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
                Method = MethodOf(request),
                DataDigest = digest.Finish(),
                Pairs = (uint)request.Pairs.Count,
                HeldOutPairs = (uint)request.Pairs.Count,
                Position = request.Position == LearnPosition.Unspecified ? LearnPosition.Last : request.Position,
            },
        };
    }
}

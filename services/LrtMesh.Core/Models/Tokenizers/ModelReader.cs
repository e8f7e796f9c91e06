using System.Text.Json;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>Reads the section "model" of tokenizer.json.</summary>
internal static class ModelReader
{
    /// <summary>The model; its tokens are added to the vocabulary.</summary>
    /// <param name="model">The section.</param>
    /// <param name="vocabulary">Where its tokens go.</param>
    public static TokenModel Read(JsonSection model, Vocabulary vocabulary)
    {
        // Files older than the field have BPE, which alone has merges.
        var type = model.OptionalText("type") ?? (model.Has("merges") ? "BPE" : throw model.Unsupported("type", "must be named"));
        return type switch
        {
            "BPE" => BytePair(model, vocabulary),
            "Unigram" => Unigram(model, vocabulary),
            "WordLevel" => WordLevel(model, vocabulary),
            "WordPiece" => WordPiece(model, vocabulary),
            _ => throw model.Unsupported("type", $"must be BPE, Unigram, WordLevel or WordPiece, not {type}"),
        };
    }

    /// <summary>The tokens of an object from token to id.</summary>
    public static void AddTokens(JsonSection tokens, Vocabulary vocabulary, string place)
    {
        foreach (var entry in tokens.Properties())
        {
            vocabulary.Add(entry.Name, entry.Value.TryGetInt32(out var id) ? id : throw vocabulary.Damaged(place, $"gives \"{entry.Name}\" the id {entry.Value.GetRawText()}"), place);
        }
    }

    /// <summary>What two tokens merge to.</summary>
    /// <param name="pair">Both.</param>
    /// <param name="prefix">What the second has in front of it that the merged token lacks.</param>
    /// <param name="vocabulary">All tokens.</param>
    /// <param name="place">Where it stands.</param>
    public static (int Left, int Right, int Merged) Merge(string[] pair, string prefix, Vocabulary vocabulary, string place)
    {
        if (pair is not [var left, var right])
        {
            throw vocabulary.Damaged(place, "must name two tokens");
        }

        var rest = right.StartsWith(prefix, StringComparison.Ordinal) ? right[prefix.Length..] : right;
        return (vocabulary.IdOf(left, place), vocabulary.IdOf(right, place), vocabulary.IdOf(left + rest, place));
    }

    private static BytePairModel BytePair(JsonSection model, Vocabulary vocabulary)
    {
        if (model.Find("dropout") is { } dropout && !(dropout.TryGetDouble(out var share) && share == 0))
        {
            throw model.Unsupported("dropout", "must be null: ids would be drawn by chance");
        }

        AddTokens(model.Section("vocab"), vocabulary, "model.vocab");
        var prefix = model.OptionalText("continuing_subword_prefix") ?? "";
        var unknown = model.OptionalText("unk_token");
        var options = new BytePairOptions(
            new Dictionary<string, int>(vocabulary.Ids, StringComparer.Ordinal),
            [.. model.Elements("merges").Select((merge, rank) => Merge(Pair(merge), prefix, vocabulary, $"model.merges[{rank}]"))])
        {
            UnknownId = unknown is null ? null : vocabulary.IdOf(unknown, "model.unk_token"),
            FuseUnknown = model.OptionalFlag("fuse_unk") ?? false,
            ByteFallback = model.OptionalFlag("byte_fallback") ?? false,
            IgnoreMerges = model.OptionalFlag("ignore_merges") ?? false,
            ContinuingPrefix = prefix,
            WordSuffix = model.OptionalText("end_of_word_suffix") ?? "",
        };
        model.Done();
        return new BytePairModel(options);
    }

    // Either "a b" or ["a", "b"].
    private static string[] Pair(JsonElement merge) => merge.ValueKind == JsonValueKind.Array
        ? [.. merge.EnumerateArray().Select(token => token.GetString() ?? "")]
        : merge.GetString()?.Split(' ') ?? [];

    private static UnigramModel Unigram(JsonSection model, Vocabulary vocabulary)
    {
        List<(string Token, double Score)> tokens = [];
        foreach (var entry in model.Elements("vocab"))
        {
            var place = $"model.vocab[{tokens.Count}]";
            if (entry.ValueKind != JsonValueKind.Array || entry.GetArrayLength() != 2 || !double.IsFinite(entry[1].GetDouble()))
            {
                throw vocabulary.Damaged(place, "must be a token and its score");
            }

            var token = entry[0].GetString() ?? throw vocabulary.Damaged(place, "must be a token and its score");
            vocabulary.Add(token, tokens.Count, place);
            tokens.Add((token, entry[1].GetDouble()));
        }

        var unknown = model.OptionalNumber("unk_id");
        var fallback = model.OptionalFlag("byte_fallback") ?? false;
        model.Ignore("type");
        model.Done();
        return new UnigramModel(tokens, unknown is { } id ? vocabulary.Existing(id, "model.unk_id") : null, fallback);
    }

    private static WordLevelModel WordLevel(JsonSection model, Vocabulary vocabulary)
    {
        AddTokens(model.Section("vocab"), vocabulary, "model.vocab");
        var unknown = vocabulary.IdOf(model.Text("unk_token"), "model.unk_token");
        model.Done();
        return new WordLevelModel(new Dictionary<string, int>(vocabulary.Ids, StringComparer.Ordinal), unknown);
    }

    private static WordPieceModel WordPiece(JsonSection model, Vocabulary vocabulary)
    {
        AddTokens(model.Section("vocab"), vocabulary, "model.vocab");
        var unknown = vocabulary.IdOf(model.Text("unk_token"), "model.unk_token");
        var (prefix, longest) = (model.Text("continuing_subword_prefix"), model.Number("max_input_chars_per_word"));
        model.Done();
        return new WordPieceModel(new Dictionary<string, int>(vocabulary.Ids, StringComparer.Ordinal), unknown, prefix, longest);
    }
}

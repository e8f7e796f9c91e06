using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// Finds the tokens of the highest sum of scores for a word (Viterbi). An unknown character scores 10 less than the lowest
/// token, and unknown characters next to each other are one. Source: Hugging Face tokenizers, models/unigram.
/// </summary>
internal sealed class UnigramModel : TokenModel
{
    private const double UnknownPenalty = 10;

    private readonly Dictionary<long, int> _children = []; // (node, UTF-16 unit) to node; the root is 0
    private readonly List<int> _ids = [-1]; // of the token that ends at each node, or -1
    private readonly double[] _scores;
    private readonly int? _unknownId;
    private readonly double _unknownScore;
    private readonly int[] _byteIds; // [256], empty unless every byte has a token and the fallback is on

    /// <param name="vocabulary">Tokens and scores, by id. Of equal tokens the last counts.</param>
    /// <param name="unknownId">Stands for unknown characters; null: they are an error.</param>
    /// <param name="byteFallback">An unknown stretch becomes the tokens of its UTF-8 bytes, where there are such.</param>
    public UnigramModel(IReadOnlyList<(string Token, double Score)> vocabulary, int? unknownId, bool byteFallback)
    {
        _scores = [.. vocabulary.Select(entry => entry.Score)];
        _unknownId = unknownId;
        _unknownScore = (_scores.Length == 0 ? 0 : _scores.Min()) - UnknownPenalty;
        var bytes = Enumerable.Repeat(-1, 256).ToArray();
        for (var id = 0; id < vocabulary.Count; id++)
        {
            var token = vocabulary[id].Token;
            Insert(token, id);
            if (byteFallback && ByteTokens.ValueOf(token) is { } value)
            {
                bytes[value] = id;
            }
        }

        _byteIds = byteFallback ? bytes : [];
    }

    protected override TextToken[] SplitAnew(ReadOnlySpan<char> word)
    {
        // For each place: the score of the best path that ends there, the token it ends with and where that starts.
        var best = new (double Score, int Id, int Start)[word.Length + 1];
        for (var i = 1; i <= word.Length; i++)
        {
            best[i].Start = -1;
        }

        for (int start = 0, length; start < word.Length; start += length)
        {
            length = AlignedText.RuneLength(word, start);
            var single = false;
            var node = 0;
            for (var end = start; end < word.Length && _children.TryGetValue(Child(node, word[end]), out node);)
            {
                end++;
                if (_ids[node] >= 0)
                {
                    Offer(best, start, end, _ids[node], _scores[_ids[node]]);
                    single |= end - start == length;
                }
            }

            if (!single)
            {
                var unknown = _unknownId ?? throw new LrtMeshException(
                    ErrorReason.FailedPrecondition, $"The tokenizer has no token for \"{word.Slice(start, length)}\", and its model.unk_id names none for what is unknown.");
                Offer(best, start, start + length, unknown, _unknownScore);
            }
        }

        return Path(word, best);
    }

    private static void Offer((double Score, int Id, int Start)[] best, int start, int end, int id, double score)
    {
        score += best[start].Score;
        if (best[end].Start < 0 || score > best[end].Score)
        {
            best[end] = (score, id, start);
        }
    }

    private static long Child(int node, char unit) => ((long)node << 16) | unit;

    private TextToken[] Path(ReadOnlySpan<char> word, (double Score, int Id, int Start)[] best)
    {
        List<TextToken> tokens = [];
        for (var end = word.Length; end > 0; end = best[end].Start)
        {
            var token = new TextToken(best[end].Id, best[end].Start, end);
            if (token.Id == _unknownId && tokens.Count > 0 && tokens[^1].Id == _unknownId)
            {
                tokens[^1] = token with { End = tokens[^1].End };
            }
            else
            {
                tokens.Add(token);
            }
        }

        tokens.Reverse();
        return _byteIds.Length == 0 ? [.. tokens] : WithBytes(word, tokens);
    }

    private TextToken[] WithBytes(ReadOnlySpan<char> word, List<TextToken> tokens)
    {
        List<TextToken> result = new(tokens.Count);
        foreach (var token in tokens)
        {
            var bytes = token.Id == _unknownId ? Encoding.UTF8.GetBytes(word[token.Start..token.End].ToString()) : [];
            if (bytes.Length > 0 && bytes.All(value => _byteIds[value] >= 0) && IdOf(word[token.Start..token.End]) != token.Id)
            {
                result.AddRange(bytes.Select(value => token with { Id = _byteIds[value] }));
            }
            else
            {
                result.Add(token);
            }
        }

        return [.. result];
    }

    // The token that is written like this, the unknown token's own text among them; -1 if there is none.
    private int IdOf(ReadOnlySpan<char> text)
    {
        var node = 0;
        foreach (var unit in text)
        {
            if (!_children.TryGetValue(Child(node, unit), out node))
            {
                return -1;
            }
        }

        return _ids[node];
    }

    private void Insert(string token, int id)
    {
        var node = 0;
        foreach (var unit in token)
        {
            if (!_children.TryGetValue(Child(node, unit), out var child))
            {
                child = _ids.Count;
                _ids.Add(-1);
                _children.Add(Child(node, unit), child);
            }

            node = child;
        }

        _ids[node] = node == 0 ? -1 : id;
    }
}

/// <summary>The tokens &lt;0x00&gt; to &lt;0xFF&gt; that stand for bytes.</summary>
internal static class ByteTokens
{
    /// <summary>The byte that a token stands for; null if it is another token.</summary>
    public static byte? ValueOf(string token) =>
        token.Length == 6 && token.StartsWith("<0x", StringComparison.Ordinal) && token[5] == '>'
        && byte.TryParse(token.AsSpan(3, 2), System.Globalization.NumberStyles.AllowHexSpecifier, System.Globalization.CultureInfo.InvariantCulture, out var value)
            ? value
            : null;
}

using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// A model's tokenizer, read from a folder of the Hugging Face layout, giving the ids, spans and texts that Hugging Face's own
/// library gives. Safe for concurrent use. A text goes this way: tokens that are recognised as they are written are cut out; what
/// is left is normalized; normalized tokens are cut out; the rest is cut into words, and each word turned to tokens by the model.
/// </summary>
/// <remarks>
/// Own code and not Microsoft.ML.Tokenizers: see <see cref="BytePairModel"/>.
/// </remarks>
public sealed class Tokenizer
{
    private readonly Normalizer? _normalizer;
    private readonly PreTokenizer? _preTokenizer;
    private readonly TokenModel _model;
    private readonly PostProcessor _postProcessor;
    private readonly TokenDecoder _decoder;
    private readonly AddedTokens _asWritten;
    private readonly AddedTokens _normalized;
    private readonly string?[] _contents; // [vocabulary], how each id is written
    private readonly bool[] _special; // [vocabulary]

    private Tokenizer(TokenizerParts parts, TokenModel model, string digest)
    {
        (_normalizer, _preTokenizer, _model, _postProcessor, _decoder) = (parts.Normalizer, parts.PreTokenizer, model, parts.PostProcessor, parts.Decoder);
        _contents = parts.Vocabulary.Contents();
        _special = new bool[_contents.Length];
        foreach (var token in parts.AddedTokens.Values)
        {
            _special[token.Id] = token.Special;
        }

        // Special tokens come first, as Hugging Face has it, which decides between tokens whose normalized contents are equal.
        var ordered = parts.AddedTokens.Values.OrderBy(token => token.Special ? 0 : 1).ToArray();
        _asWritten = new AddedTokens(ordered.Where(token => !token.Normalized).Select(token => (token.Content, token)));
        foreach (var token in ordered.Where(token => token.Normalized))
        {
            _contents[token.Id] = NormalizedContent(token, parts); // also when decoding
        }

        _normalized = new AddedTokens(ordered.Where(token => token.Normalized).Select(token => (_contents[token.Id]!, token)));
        (BosId, EosId, Digest) = (parts.BosId, parts.EosId, digest);
        AddsBos = BosId is { } bos && _postProcessor.Prefix.Contains(bos);
    }

    /// <summary>Number of ids; they run from 0 to one below. An id in between may have no token, and stands for no text.</summary>
    public int VocabularySize => _contents.Length;

    /// <summary>Digest over the tokenizer's files and what begins and ends a sequence: equal digests split every text alike.</summary>
    public string Digest { get; }

    /// <summary>The token that begins a sequence; null if the tokenizer names none.</summary>
    public int? BosId { get; }

    /// <summary>The token that ends a sequence; null if the tokenizer names none.</summary>
    public int? EosId { get; }

    /// <summary>Whether <see cref="Encode"/> with special tokens puts <see cref="BosId"/> in front.</summary>
    public bool AddsBos { get; }

    /// <summary>
    /// Reads tokenizer.json, or vocab.json and merges.txt, or tokenizer.model; and tokenizer_config.json, special_tokens_map.json
    /// and added_tokens.json where they are.
    /// </summary>
    /// <param name="folder">The folder that holds them.</param>
    /// <exception cref="LrtMeshException">
    /// NOT_FOUND: a file is missing. DATA_LOSS: a file is damaged. FAILED_PRECONDITION: the tokenizer has an option that is not
    /// supported. The message names the file and the field.
    /// </exception>
    public static Tokenizer Load(string folder)
    {
        var (parts, model, digest) = TokenizerFolder.Read(folder);
        return new Tokenizer(parts, model, digest);
    }

    /// <summary>
    /// The tokens of a text, with the spans that Hugging Face gives them, in UTF-16 units: a span may leave out white space, and two
    /// tokens of one character both cover it. Tokens that are added around the text cover nothing, at 0. An unpaired surrogate is
    /// read as U+FFFD.
    /// </summary>
    /// <param name="text">Any text.</param>
    /// <param name="addSpecialTokens">Add the tokens that the model expects at the start and end of a sequence.</param>
    public IReadOnlyList<TextToken> Encode(string text, bool addSpecialTokens)
    {
        var tokens = new List<TextToken>((text.Length / 4) + 8);
        var whole = WellFormed(text).AsMemory();
        Dictionary<int, string> matches = []; // what added tokens matched, by place in the list
        foreach (var (start, end, token) in _asWritten.Find(whole.Span))
        {
            if (token is not null)
            {
                matches.Add(tokens.Count, whole[start..end].ToString());
                tokens.Add(new TextToken(token.Id, start, end));
            }
            else
            {
                AddPiece(new AlignedText(whole[start..end], start), tokens, matches);
            }
        }

        _postProcessor.Trim(whole.Span, tokens, _contents, matches);
        if (addSpecialTokens && _postProcessor is { Prefix: var prefix, Suffix: var suffix } && prefix.Length + suffix.Length > 0)
        {
            return [.. prefix.Select(Added), .. tokens, .. suffix.Select(Added)];
        }

        return tokens;

        static TextToken Added(int id) => new(id, 0, 0);
    }

    /// <summary>The text of some ids; bytes that are not UTF-8 become U+FFFD.</summary>
    /// <param name="ids">Each below <see cref="VocabularySize"/>.</param>
    /// <param name="skipSpecialTokens">Leave special tokens out.</param>
    /// <exception cref="LrtMeshException">An id is out of the vocabulary.</exception>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = true)
    {
        var stream = new TextStream(this, _decoder, skipSpecialTokens);
        var text = new StringBuilder();
        foreach (var id in ids)
        {
            text.Append(stream.Push(id));
        }

        return text.Append(stream.Flush()).ToString();
    }

    /// <summary>Whether a token is special, that is, not part of a text.</summary>
    /// <exception cref="LrtMeshException">The id is out of the vocabulary.</exception>
    public bool IsSpecial(int id)
    {
        if (id < 0 || id >= _special.Length)
        {
            throw LrtMeshException.Invalid("token_ids", $"must be from 0 to {_special.Length - 1}, the ids of the tokenizer, not {id}");
        }

        return _special[id];
    }

    /// <summary>A stream that turns ids to text as they come.</summary>
    public TextStream NewStream() => new(this, _decoder, skipSpecialTokens: true);

    internal string? ContentOf(int id) => _contents[id];

    private static string NormalizedContent(AddedToken token, TokenizerParts parts)
    {
        var content = parts.Normalizer?.Apply(new AlignedText(token.Content.AsMemory(), 0)).Span.ToString() ?? token.Content;
        return content.Length > 0
            ? content
            : throw parts.Vocabulary.Damaged("added_tokens", $"\"{token.Content}\" is empty once it is normalized");
    }

    // What becomes of unpaired surrogates in UTF-8; no place moves.
    private static string WellFormed(string text)
    {
        if (text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0)
        {
            return text;
        }

        var units = text.ToCharArray();
        for (var i = 0; i < units.Length; i++)
        {
            if (i + 1 < units.Length && char.IsSurrogatePair(units[i], units[i + 1]))
            {
                i++;
            }
            else if (char.IsSurrogate(units[i]))
            {
                units[i] = '\uFFFD';
            }
        }

        return new string(units);
    }

    private void AddPiece(AlignedText piece, List<TextToken> tokens, Dictionary<int, string> matches)
    {
        var text = _normalizer?.Apply(piece) ?? piece;
        foreach (var (start, end, token) in _normalized.Find(text.Span))
        {
            if (token is null)
            {
                AddWords(text.Slice(start, end - start), tokens);
            }
            else
            {
                var origin = text.Origin(start, end);
                matches.Add(tokens.Count, text.Span[start..end].ToString());
                tokens.Add(new TextToken(token.Id, origin.Start, origin.End));
            }
        }
    }

    private void AddWords(AlignedText text, List<TextToken> tokens)
    {
        var words = new Words(text);
        _preTokenizer?.Apply(words);
        var first = tokens.Count;
        foreach (var (start, end) in words.Ranges)
        {
            _model.Split(words.Text.Span[start..end], start, tokens);
        }

        for (var i = first; i < tokens.Count; i++)
        {
            var origin = words.Text.Origin(tokens[i].Start, tokens[i].End);
            tokens[i] = new TextToken(tokens[i].Id, origin.Start, origin.End);
        }
    }
}

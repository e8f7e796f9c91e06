using System.Buffers;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// A model's tokenizer, read from a folder of the Hugging Face layout: byte-level BPE with added and special tokens, giving the
/// ids that Hugging Face's own library gives. Safe for concurrent use.
/// </summary>
public sealed class Tokenizer
{
    private readonly BytePairModel _model;
    private readonly AddedTokens _first;
    private readonly AddedTokens _second;
    private readonly int[] _prefix;
    private readonly int[] _suffix;
    private readonly byte[][] _bytes; // [vocabulary], the UTF-8 that each id stands for
    private readonly bool[] _special; // [vocabulary]

    private Tokenizer(TokenizerFile file)
    {
        _model = new BytePairModel(file.ByteIds, file.Merges);
        _first = new AddedTokens(file.AddedTokens.Where(token => !token.Normalized));
        _second = new AddedTokens(file.AddedTokens.Where(token => token.Normalized));
        _prefix = file.Prefix;
        _suffix = file.Suffix;
        _bytes = file.Bytes;
        _special = new bool[_bytes.Length];
        foreach (var token in file.AddedTokens)
        {
            _special[token.Id] = token.Special;
        }

        BosId = file.BosId;
        EosId = file.EosId;
        AddsBos = BosId is { } bos && _prefix.Contains(bos);
        Digest = file.Digest;
    }

    /// <summary>Number of tokens; ids run from 0 to one below.</summary>
    public int VocabularySize => _bytes.Length;

    /// <summary>Digest over tokenizer.json and what begins and ends a sequence: equal digests split every text alike.</summary>
    public string Digest { get; }

    /// <summary>The token that begins a sequence; null if the tokenizer names none.</summary>
    public int? BosId { get; }

    /// <summary>The token that ends a sequence; null if the tokenizer names none.</summary>
    public int? EosId { get; }

    /// <summary>Whether <see cref="Encode"/> with special tokens puts <see cref="BosId"/> in front.</summary>
    public bool AddsBos { get; }

    /// <summary>Reads tokenizer.json and tokenizer_config.json.</summary>
    /// <param name="folder">The folder that holds both.</param>
    /// <exception cref="LrtMeshException">
    /// NOT_FOUND: a file is missing. DATA_LOSS: a file is damaged. FAILED_PRECONDITION: the pipeline has an option that is not
    /// supported; the message names the file and the option.
    /// </exception>
    public static Tokenizer Load(string folder) => new(TokenizerFile.Read(folder));

    /// <summary>
    /// The tokens of a text. Tokens of the text cover it from its start to its end without gaps, also the special tokens written in
    /// it; those that are added around it cover nothing. An unpaired surrogate is read as U+FFFD.
    /// </summary>
    /// <param name="text">Any text.</param>
    /// <param name="addSpecialTokens">Add the tokens that the model expects at the start and end of a sequence.</param>
    public IReadOnlyList<TextToken> Encode(string text, bool addSpecialTokens)
    {
        var tokens = new List<TextToken>((text.Length / 4) + 8);
        if (addSpecialTokens)
        {
            tokens.AddRange(_prefix.Select(id => new TextToken(id, 0, 0)));
        }

        AddAroundFirst(text, tokens);
        if (addSpecialTokens)
        {
            tokens.AddRange(_suffix.Select(id => new TextToken(id, text.Length, text.Length)));
        }

        return tokens;
    }

    /// <summary>The text of some ids; bytes that are not UTF-8 become U+FFFD.</summary>
    /// <param name="ids">Each below <see cref="VocabularySize"/>.</param>
    /// <param name="skipSpecialTokens">Leave special tokens out.</param>
    /// <exception cref="LrtMeshException">No token has one of the ids.</exception>
    public string Decode(IEnumerable<int> ids, bool skipSpecialTokens = true)
    {
        var bytes = new ArrayBufferWriter<byte>();
        foreach (var id in ids)
        {
            if (!IsSpecial(id) || !skipSpecialTokens)
            {
                bytes.Write(_bytes[id]);
            }
        }

        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    /// <summary>Whether a token is special, that is, not part of a text.</summary>
    /// <exception cref="LrtMeshException">No token has this id.</exception>
    public bool IsSpecial(int id)
    {
        if (id < 0 || id >= _bytes.Length)
        {
            throw LrtMeshException.Invalid("token_ids", $"must be from 0 to {_bytes.Length - 1}, the ids of the tokenizer, not {id}");
        }

        return _special[id];
    }

    /// <summary>A stream that turns ids to text as they come.</summary>
    public TextStream NewStream() => new(this);

    internal ReadOnlySpan<byte> BytesOf(int id) => _bytes[id];

    // A normalized token is looked for in each piece that the others leave, and the words in each piece that it leaves.
    private void AddAroundFirst(string text, List<TextToken> tokens)
    {
        var start = 0;
        while (_first.Find(text.AsSpan(start)) is { } found)
        {
            AddAroundSecond(text.AsSpan(start, found.Start), start, tokens);
            start = AddFound(found, start, tokens);
        }

        AddAroundSecond(text.AsSpan(start), start, tokens);
    }

    private void AddAroundSecond(ReadOnlySpan<char> piece, int offset, List<TextToken> tokens)
    {
        var start = 0;
        while (_second.Find(piece[start..]) is { } found)
        {
            AddWords(piece.Slice(start, found.Start), offset + start, tokens);
            start = AddFound(found, offset + start, tokens) - offset;
        }

        AddWords(piece[start..], offset + start, tokens);
    }

    private static int AddFound((AddedToken Token, int Start) found, int offset, List<TextToken> tokens)
    {
        var start = offset + found.Start;
        var end = start + found.Token.Content.Length;
        tokens.Add(new TextToken(found.Token.Id, start, end));
        return end;
    }

    private void AddWords(ReadOnlySpan<char> piece, int offset, List<TextToken> tokens)
    {
        for (var start = 0; start < piece.Length;)
        {
            var end = ByteLevel.WordEnd(piece, start);
            foreach (var token in _model.Split(piece[start..end]))
            {
                tokens.Add(new TextToken(token.Id, offset + start + token.Start, offset + start + token.End));
            }

            start = end;
        }
    }
}

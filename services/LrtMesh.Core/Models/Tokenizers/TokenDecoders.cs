using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>Turns each whole token to another text.</summary>
/// <param name="rewrite">Gets a token, whether it is the first, and whether it is the last.</param>
/// <param name="waits">Whether the last token is treated in another way; then every token waits for the next one.</param>
internal sealed class TokenRewriter(Func<string, bool, bool, string> rewrite, bool waits = false) : TokenDecoder
{
    /// <summary>SentencePiece's symbol becomes a space, but nothing in the first token where one was put in front of the text.</summary>
    public static TokenRewriter Metaspace(char replacement, bool prepended) => new((token, first, _) =>
        first && prepended ? token.Replace(replacement.ToString(), "", StringComparison.Ordinal) : token.Replace(replacement, ' '));

    /// <summary>A suffix that ends words becomes a space, and is left out at the end.</summary>
    public static TokenRewriter WordSuffix(string suffix) => new(
        (token, _, last) => suffix.Length == 0 ? token : token.Replace(suffix, last ? "" : " ", StringComparison.Ordinal), waits: true);

    /// <summary>BERT's: tokens without the prefix begin a word; with clean-up, no space stands in front of punctuation and contractions.</summary>
    public static TokenRewriter WordPiece(string prefix, bool cleanUp) => new((token, first, _) =>
    {
        var text = first ? token : token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token;
        return cleanUp ? CleanUp(text) : text;
    });

    /// <summary>Something else for each match of a pattern.</summary>
    public static TokenRewriter Replace(TokenizerPattern pattern, string content) => new((token, _, _) =>
    {
        List<(int Start, int End)> matches = [];
        pattern.Find(token, matches);
        var (result, done) = (new StringBuilder(), 0);
        foreach (var (start, end) in matches)
        {
            result.Append(token, done, start - done).Append(content);
            done = end;
        }

        return result.Append(token, done, token.Length - done).ToString();
    });

    /// <summary>The tokens with spaces between them, which is how a text is made where a tokenizer names no decoder.</summary>
    public static TokenRewriter Spaced() => new((token, first, _) => first ? token : " " + token);

    public override State Start() => new Running(this);

    private static string CleanUp(string text)
    {
        (string From, string To)[] rules =
        [
            (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
            (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
        ];
        return rules.Aggregate(text, (current, rule) => current.Replace(rule.From, rule.To, StringComparison.Ordinal));
    }

    private sealed class Running(TokenRewriter step) : State
    {
        private readonly StringBuilder _parts = new(); // of the token that has begun
        private string? _waiting;
        private bool _first = true;

        public override void Push(DecodedPart part, List<DecodedPart> result)
        {
            _parts.Append(part.Text);
            if (part.Ends)
            {
                Release(last: false, result);
                _waiting = _parts.ToString();
                _parts.Clear();
                if (!step.Waits)
                {
                    Release(last: false, result);
                }
            }
        }

        public override void Flush(List<DecodedPart> result) => Release(last: true, result);

        private void Release(bool last, List<DecodedPart> result)
        {
            if (_waiting is { } token)
            {
                result.Add(new DecodedPart(step.Rewrite(token, _first, last)));
                (_waiting, _first) = (null, false);
            }
        }
    }

    private bool Waits => waits;

    private string Rewrite(string token, bool first, bool last) => rewrite(token, first, last);
}

/// <summary>Makes one token of all.</summary>
internal sealed class FuseDecoder : TokenDecoder
{
    public override State Start() => new Running();

    private sealed class Running : State
    {
        private bool _begun;

        public override void Push(DecodedPart part, List<DecodedPart> result)
        {
            result.Add(new DecodedPart(part.Text, !_begun, Ends: false));
            _begun = true;
        }

        public override void Flush(List<DecodedPart> result) => result.Add(new DecodedPart("", !_begun));
    }
}

/// <summary>Turns the symbols of <see cref="ByteLevel"/> to the bytes that they stand for, and these to one text.</summary>
internal sealed class ByteLevelDecoder : TokenDecoder
{
    public override State Start() => new Running();

    private sealed class Running : State
    {
        private readonly System.Text.Decoder _decoder = Encoding.UTF8.GetDecoder(); // keeps the bytes of a character that is not whole yet
        private bool _begun;

        public override void Push(DecodedPart part, List<DecodedPart> result) =>
            // As Hugging Face has it: a token with a character that stands for no byte is taken as it is written.
            Add(ByteLevel.BytesOf(part.Text) ?? Encoding.UTF8.GetBytes(part.Text), ends: false, result);

        public override void Flush(List<DecodedPart> result) => Add([], ends: true, result);

        private void Add(ReadOnlySpan<byte> bytes, bool ends, List<DecodedPart> result)
        {
            var characters = new char[_decoder.GetCharCount(bytes, ends)];
            var count = _decoder.GetChars(bytes, characters, ends);
            result.Add(new DecodedPart(new string(characters, 0, count), !_begun, ends));
            _begun = true;
        }
    }
}

/// <summary>
/// Turns runs of the tokens for bytes to text; a run that is not UTF-8 as a whole becomes one U+FFFD for each of its bytes. A run
/// is therefore given on only when it has ended.
/// </summary>
internal sealed class ByteFallbackDecoder : TokenDecoder
{
    private static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public override State Start() => new Running();

    private sealed class Running : State
    {
        private readonly List<byte> _bytes = [];

        public override void Push(DecodedPart part, List<DecodedPart> result)
        {
            if (part.Begins && part.Ends && ByteTokens.ValueOf(part.Text) is { } value)
            {
                _bytes.Add(value);
                return;
            }

            Flush(result);
            result.Add(part);
        }

        public override void Flush(List<DecodedPart> result)
        {
            if (_bytes.Count == 0)
            {
                return;
            }

            try
            {
                result.Add(new DecodedPart(Strict.GetString([.. _bytes])));
            }
            catch (DecoderFallbackException)
            {
                result.AddRange(_bytes.Select(_ => new DecodedPart("\uFFFD")));
            }

            _bytes.Clear();
        }
    }
}

/// <summary>Takes a character away from the start and the end of each token.</summary>
/// <param name="content">The character.</param>
/// <param name="start">How many at most from the start.</param>
/// <param name="stop">How many at most from the end.</param>
internal sealed class StripDecoder(char content, int start, int stop) : TokenDecoder
{
    public override State Start() => new Running(content, start, stop);

    private sealed class Running(char content, int start, int stop) : State
    {
        private int _fromStart; // how many more may be taken away at the start
        private int _held; // how many of the character are held back, since the token may end with them
        private bool _begins;

        public override void Push(DecodedPart part, List<DecodedPart> result)
        {
            if (part.Begins)
            {
                (_fromStart, _held, _begins) = (start, 0, true);
            }

            var taken = 0;
            while (taken < part.Text.Length && taken < _fromStart && part.Text[taken] == content)
            {
                taken++;
            }

            _fromStart = taken == part.Text.Length ? _fromStart - taken : 0;
            var text = new string(content, _held) + part.Text[taken..];
            _held = 0;
            while (_held < stop && _held < text.Length && text[^(_held + 1)] == content)
            {
                _held++;
            }

            result.Add(new DecodedPart(text[..^_held], _begins, part.Ends));
            _begins = false;
        }
    }
}

/// <summary>One character for another, part by part.</summary>
internal sealed class CharacterDecoder(char from, string to) : TokenDecoder
{
    public override State Start() => new Running(from, to);

    private sealed class Running(char from, string to) : State
    {
        public override void Push(DecodedPart part, List<DecodedPart> result) =>
            result.Add(part with { Text = part.Text.Replace(from.ToString(), to, StringComparison.Ordinal) });
    }
}

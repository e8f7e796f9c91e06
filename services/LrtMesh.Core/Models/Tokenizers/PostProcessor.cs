using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>What is done to the tokens of a text at the end: tokens put around them, and white space taken out of their spans.</summary>
/// <param name="Prefix">Ids in front of a sequence.</param>
/// <param name="Suffix">Ids behind it.</param>
internal sealed record PostProcessor(int[] Prefix, int[] Suffix)
{
    /// <summary>Nothing is added and nothing trimmed.</summary>
    public static readonly PostProcessor None = new([], []);

    /// <summary>Spans are trimmed; true: but one space in front of the text's first token, which may have been put there, stays.</summary>
    public bool? TrimsKeepingFirstSpace { get; init; }

    /// <summary>
    /// Takes the white space that a token begins or ends with out of its span, as many characters of the text as the token has.
    /// Source: Hugging Face tokenizers, ByteLevel's process_offsets.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="tokens">Its tokens, before any are put around them.</param>
    /// <param name="contents">How each id is written in the vocabulary.</param>
    /// <param name="matches">For added tokens, by place in the list, what they matched.</param>
    public void Trim(ReadOnlySpan<char> text, List<TextToken> tokens, string?[] contents, Dictionary<int, string> matches)
    {
        for (var i = 0; TrimsKeepingFirstSpace is { } keeps && i < tokens.Count; i++)
        {
            var (id, start, end) = tokens[i];
            var content = matches.GetValueOrDefault(i) ?? contents[id] ?? "";
            var leading = Spaces(content.EnumerateRunes());
            var trailing = Spaces(content.EnumerateRunes().Reverse());
            if (leading == 1 && keeps && (i == 0 || start == 0))
            {
                leading = 0;
            }

            for (; leading > 0 && start < end; leading--)
            {
                start += AlignedText.RuneLength(text, start);
            }

            for (; trailing > 0 && end > start; trailing--)
            {
                end -= char.IsLowSurrogate(text[end - 1]) ? 2 : 1;
            }

            tokens[i] = new TextToken(id, start, end);
        }
    }

    private static int Spaces(IEnumerable<Rune> runes) =>
        runes.TakeWhile(rune => rune.Value == ByteLevel.SymbolOf((byte)' ') || Rune.IsWhiteSpace(rune)).Count();
}

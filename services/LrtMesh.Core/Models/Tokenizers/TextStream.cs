using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// Turns token ids to text as they come: whole characters only, and all that it gives out, <see cref="Flush"/> included, is what
/// <see cref="Tokenizer.Decode"/> of all the ids gives without special tokens. What a later token may still change is held back:
/// bytes of a character that is not whole, and a run of single-byte tokens until another token ends it. For one sequence and one thread.
/// </summary>
[SuppressMessage("Naming", "CA1711", Justification = "A stream of text is what it is, though not a System.IO.Stream.")]
public sealed class TextStream
{
    private readonly Tokenizer _tokenizer;
    private readonly TokenDecoder.State _decoder;
    private readonly bool _skipSpecialTokens;
    private readonly List<DecodedPart> _parts = [];

    internal TextStream(Tokenizer tokenizer, TokenDecoder decoder, bool skipSpecialTokens) =>
        (_tokenizer, _decoder, _skipSpecialTokens) = (tokenizer, decoder.Start(), skipSpecialTokens);

    /// <summary>The characters that are certain with this token; empty for a special token.</summary>
    /// <exception cref="LrtMeshException">The id is out of the vocabulary.</exception>
    public string Push(int id)
    {
        if (!(_tokenizer.IsSpecial(id) && _skipSpecialTokens) && _tokenizer.ContentOf(id) is { } content)
        {
            _decoder.Push(new DecodedPart(content), _parts);
        }

        return Taken();
    }

    /// <summary>What is left at the end: what was held back, U+FFFD for a character that never became whole, or nothing.</summary>
    public string Flush()
    {
        _decoder.Flush(_parts);
        return Taken();
    }

    private string Taken()
    {
        var text = _parts.Count == 1 ? _parts[0].Text : string.Concat(_parts.Select(part => part.Text));
        _parts.Clear();
        return text;
    }
}

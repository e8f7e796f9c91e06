using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// Turns token ids to text as they come: whole characters only, and all that it gives out, <see cref="Flush"/> included, is what
/// <see cref="Tokenizer.Decode"/> of all the ids gives without special tokens. For one sequence and one thread.
/// </summary>
[SuppressMessage("Naming", "CA1711", Justification = "A stream of text is what it is, though not a System.IO.Stream.")]
public sealed class TextStream
{
    private readonly Tokenizer _tokenizer;
    private readonly System.Text.Decoder _decoder = Encoding.UTF8.GetDecoder(); // keeps the bytes of a character that is not whole yet

    internal TextStream(Tokenizer tokenizer) => _tokenizer = tokenizer;

    /// <summary>The characters that are whole with this token; empty for a special token.</summary>
    /// <exception cref="LrtMeshException">No token has this id.</exception>
    public string Push(int id) => _tokenizer.IsSpecial(id) ? "" : Characters(_tokenizer.BytesOf(id), flush: false);

    /// <summary>What is left at the end: U+FFFD for a character that never became whole, or nothing.</summary>
    public string Flush() => Characters([], flush: true);

    private string Characters(ReadOnlySpan<byte> bytes, bool flush)
    {
        var characters = new char[_decoder.GetCharCount(bytes, flush)];
        var count = _decoder.GetChars(bytes, characters, flush);
        return new string(characters, 0, count);
    }
}

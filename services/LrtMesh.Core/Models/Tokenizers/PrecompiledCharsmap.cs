using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// A normalizer compiled by SentencePiece: a double-array trie from UTF-8 to places in a block of texts. Applied as Hugging Face
/// applies it: to each grapheme cluster of less than six bytes as a whole, otherwise to each character, and of all the prefixes
/// that are found to the shortest. Sources: google/sentencepiece, src/normalizer.cc; Hugging Face tokenizers, Precompiled.
/// </summary>
internal sealed class PrecompiledCharsmap : Normalizer
{
    private readonly uint[] _trie;
    private readonly byte[] _texts;

    /// <param name="charsmap">The trie's size in bytes (uint32), the trie, and the texts, each ended by a zero.</param>
    /// <exception cref="FormatException">The sizes do not fit.</exception>
    public PrecompiledCharsmap(ReadOnlySpan<byte> charsmap)
    {
        var size = charsmap.Length < 4 ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(charsmap);
        if (size < 4 || size % 4 != 0 || size > charsmap.Length - 4)
        {
            throw new FormatException($"a charsmap of {charsmap.Length} bytes cannot begin with a trie of {size}");
        }

        _trie = new uint[size / 4];
        for (var i = 0; i < _trie.Length; i++)
        {
            _trie[i] = BinaryPrimitives.ReadUInt32LittleEndian(charsmap[(4 + (4 * i))..]);
        }

        _texts = charsmap[(4 + (int)size)..].ToArray();
    }

    public override AlignedText Apply(AlignedText text)
    {
        List<(Rune Character, int Change)> characters = new(text.Length);
        var modified = false;
        for (var rest = text.Span; rest.Length > 0;)
        {
            var cluster = rest[..StringInfo.GetNextTextElementLength(rest)];
            rest = rest[cluster.Length..];
            if (Encoding.UTF8.GetByteCount(cluster) < 6 && Find(cluster) is { } whole)
            {
                modified = true;
                Replace(characters, cluster, whole);
                continue;
            }

            for (int start = 0, length; start < cluster.Length; start += length)
            {
                length = AlignedText.RuneLength(cluster, start);
                var character = cluster.Slice(start, length);
                if (Find(character) is { } replacement)
                {
                    modified = true;
                    Replace(characters, character, replacement);
                }
                else
                {
                    characters.Add((AlignedText.RuneAt(character, 0), 0));
                }
            }
        }

        return modified ? text.Rewrite(characters) : text;
    }

    // What is put in beyond the length of the old is new; what is left out counts for the last character.
    private static void Replace(List<(Rune Character, int Change)> characters, ReadOnlySpan<char> old, string replacement)
    {
        var count = 0;
        foreach (var _ in old.EnumerateRunes())
        {
            count++;
        }

        foreach (var rune in replacement.EnumerateRunes())
        {
            characters.Add((rune, count > 0 ? 0 : 1));
            count--;
        }

        if (count > 0 && characters.Count > 0)
        {
            characters[^1] = (characters[^1].Character, characters[^1].Change - count);
        }
    }

    // What the shortest prefix in the trie is replaced by; null if there is none.
    private string? Find(ReadOnlySpan<char> text)
    {
        Span<byte> bytes = stackalloc byte[Encoding.UTF8.GetMaxByteCount(text.Length)];
        bytes = bytes[..Encoding.UTF8.GetBytes(text, bytes)];
        var node = Offset(_trie[0]);
        foreach (var value in bytes)
        {
            node ^= value;
            if (value == 0 || node >= _trie.Length || (_trie[node] & 0x800000FF) != value)
            {
                return null;
            }

            var unit = _trie[node];
            node ^= Offset(unit);
            if ((unit & 0x100) != 0)
            {
                return node < _trie.Length ? TextAt((int)(_trie[node] & 0x7FFFFFFF)) : null;
            }
        }

        return null;
    }

    private static uint Offset(uint unit) => (unit >> 10) << (int)((unit & 0x200) >> 6);

    private string? TextAt(int place)
    {
        if (place > _texts.Length)
        {
            return null;
        }

        var text = _texts.AsSpan(place);
        var end = text.IndexOf((byte)0);
        return Encoding.UTF8.GetString(end < 0 ? text : text[..end]);
    }
}

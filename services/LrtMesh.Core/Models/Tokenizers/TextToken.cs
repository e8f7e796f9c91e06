namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// A token of a text: its id and the characters [Start, End) that it covers, in UTF-16 code units of the text. A token that
/// holds only some bytes of a character covers that character; a token that was added to the text covers nothing.
/// </summary>
public readonly record struct TextToken(int Id, int Start, int End);

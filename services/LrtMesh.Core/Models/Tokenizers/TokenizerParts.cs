namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>A tokenizer as its files describe it; what is not set is not there.</summary>
internal sealed class TokenizerParts(string file)
{
    /// <summary>All tokens.</summary>
    public Vocabulary Vocabulary { get; } = new(file);

    /// <summary>Tokens recognised as they are written, by id.</summary>
    public Dictionary<int, AddedToken> AddedTokens { get; } = [];

    /// <summary>Rewrites a text.</summary>
    public Normalizer? Normalizer { get; set; }

    /// <summary>Cuts it into words.</summary>
    public PreTokenizer? PreTokenizer { get; set; }

    /// <summary>Turns words to tokens.</summary>
    public required Func<Vocabulary, TokenModel> Model { get; init; }

    /// <summary>Puts tokens around a sequence.</summary>
    public PostProcessor PostProcessor { get; set; } = PostProcessor.None;

    /// <summary>Turns tokens to text.</summary>
    public TokenDecoder Decoder { get; set; } = TokenRewriter.Spaced();

    /// <summary>The token that begins a sequence, if one is named.</summary>
    public int? BosId { get; set; }

    /// <summary>The token that ends a sequence, if one is named.</summary>
    public int? EosId { get; set; }
}

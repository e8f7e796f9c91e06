namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// Reads a tokenizer from a folder of the Hugging Face layout: tokenizer.json, or else vocab.json and merges.txt, or else
/// SentencePiece's tokenizer.model; with tokenizer_config.json and its companions beside it.
/// </summary>
internal sealed class TokenizerFolder
{
    private const long LargestFile = 256L << 20; // bytes; a vocabulary of 256,000 tokens takes about 35 MB

    private readonly string _folder;
    private readonly ContentDigest _digest;

    private TokenizerFolder(string folder, ContentDigest digest) => (_folder, _digest) = (folder, digest);

    /// <summary>The tokenizer of a folder, and a digest of all that its ids depend on.</summary>
    /// <exception cref="LrtMeshException">As <see cref="Tokenizer.Load"/> says.</exception>
    public static (TokenizerParts Parts, TokenModel Model, string Digest) Read(string folder)
    {
        using var digest = new ContentDigest();
        digest.Add("tokenizer");
        var reader = new TokenizerFolder(folder, digest);
        var config = new TokenizerConfig(folder, ReadFile);
        var parts = reader.ReadParts(config);
        var model = parts.Model(parts.Vocabulary);
        config.AddTokens(parts);
        config.ApplyBosAndEos(parts);
        digest.Add(parts.BosId ?? -1).Add(parts.EosId ?? -1);
        foreach (var id in parts.PostProcessor.Prefix.Append(-1).Concat(parts.PostProcessor.Suffix))
        {
            digest.Add(id);
        }

        foreach (var token in parts.AddedTokens.Values)
        {
            digest.Add(token.ToString());
        }

        return (parts, model, digest.Finish());
    }

    private static byte[]? ReadFile(string path)
    {
        try
        {
            var length = new FileInfo(path).Length;
            return length <= LargestFile
                ? File.ReadAllBytes(path)
                : throw new LrtMeshException(ErrorReason.DataLoss, [new Violation(path, $"has {length} bytes; a tokenizer has at most {LargestFile}")]);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path} cannot be read: {e.Message}", e);
        }
    }

    private TokenizerParts ReadParts(TokenizerConfig config)
    {
        if (Take("tokenizer.json") is { } json)
        {
            return JsonSection.Read(PathOf("tokenizer.json"), json, root => TokenizerJson.Read(PathOf("tokenizer.json"), root, config));
        }

        if (Take("vocab.json") is { } vocabulary)
        {
            var merges = Take("merges.txt") ?? throw LrtMeshException.NotFound(PathOf("merges.txt"), "no such file; vocab.json needs it");
            return VocabularyFiles.Read(PathOf("vocab.json"), vocabulary, PathOf("merges.txt"), merges, config);
        }

        return Take("tokenizer.model") is { } sentencePiece
            ? SentencePieceTokenizer.Create(PathOf("tokenizer.model"), SentencePieceFile.Read(PathOf("tokenizer.model"), sentencePiece), config)
            : throw LrtMeshException.NotFound(
                PathOf("tokenizer.json"), "no such file, nor vocab.json with merges.txt or tokenizer.model; a model's folder needs one of them");
    }

    private string PathOf(string name) => Path.Combine(_folder, name);

    private byte[]? Take(string name)
    {
        var bytes = ReadFile(PathOf(name));
        if (bytes is not null)
        {
            _digest.Add(name).Add(bytes.LongLength).AddBytes(bytes);
        }

        return bytes;
    }
}

using System.Text;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// Reads vocab.json and merges.txt, which hold byte-level BPE's tokens but not how a text is cut: that goes with the tokenizer's
/// class. Source: Hugging Face transformers, convert_slow_tokenizer (GPT2Converter, Qwen2Converter).
/// </summary>
internal static class VocabularyFiles
{
    private const string QwenPattern =
        @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    /// <summary>The tokenizer that both files describe.</summary>
    public static TokenizerParts Read(string vocabularyPath, byte[] vocabularyBytes, string mergesPath, byte[] mergesBytes, TokenizerConfig config)
    {
        var parts = new TokenizerParts(vocabularyPath) { Model = vocabulary => CreateModel(vocabulary, mergesPath, mergesBytes), Decoder = new ByteLevelDecoder() };
        JsonSection.Read(vocabularyPath, vocabularyBytes, root =>
        {
            ModelReader.AddTokens(root, parts.Vocabulary, "vocab");
            return true;
        });
        var addPrefixSpace = config.AddPrefixSpace ?? false;
        switch (config.Class)
        {
            case "GPT2" or "":
                parts.PreTokenizer = new ByteLevelPreTokenizer(addPrefixSpace, useRegex: true);
                break;
            case "Qwen2":
                parts.Normalizer = new UnicodeNormalizer(NormalizationForm.FormC);
                parts.PreTokenizer = new PreTokenizerSequence(
                [
                    new PatternSplit(TokenizerPattern.Expression(QwenPattern), SplitBehavior.Isolated, invert: false),
                    new ByteLevelPreTokenizer(addPrefixSpace, useRegex: false),
                ]);
                break;
            default:
                throw config.Unsupported("tokenizer_class", $"must be GPT2Tokenizer or Qwen2Tokenizer where there is vocab.json and no tokenizer.json, not {config.Class}");
        }

        if (config.Named("bos_token") is { } bos && config.AddsBos)
        {
            parts.PostProcessor = new PostProcessor([parts.Vocabulary.IdOf(bos, "bos_token")], []);
        }

        return parts;
    }

    private static BytePairModel CreateModel(Vocabulary vocabulary, string mergesPath, byte[] mergesBytes)
    {
        List<(int Left, int Right, int Merged)> merges = [];
        var line = 0;
        foreach (var text in Encoding.UTF8.GetString(mergesBytes).Split('\n').Select(text => text.TrimEnd('\r')))
        {
            line++;
            if (text.Length > 0 && !text.StartsWith("#version", StringComparison.Ordinal))
            {
                try
                {
                    merges.Add(ModelReader.Merge(text.Split(' '), "", vocabulary, $"line {line}"));
                }
                catch (LrtMeshException e)
                {
                    throw new LrtMeshException(ErrorReason.DataLoss, [new Violation($"{mergesPath}: line {line}", e.Violations[0].Description)]);
                }
            }
        }

        return new BytePairModel(new BytePairOptions(new Dictionary<string, int>(vocabulary.Ids, StringComparer.Ordinal), [.. merges]));
    }
}

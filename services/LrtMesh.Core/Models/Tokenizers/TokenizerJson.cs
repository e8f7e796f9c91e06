namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>Reads tokenizer.json.</summary>
internal static class TokenizerJson
{
    /// <summary>The tokenizer that the file describes.</summary>
    /// <param name="path">The file.</param>
    /// <param name="root">Its root.</param>
    /// <param name="config">What tokenizer_config.json says.</param>
    public static TokenizerParts Read(string path, JsonSection root, TokenizerConfig config)
    {
        root.Ignore("version");
        foreach (var field in new[] { "truncation", "padding" })
        {
            if (root.Has(field))
            {
                throw root.Unsupported(field, "must be null: a text is encoded whole");
            }
        }

        var section = root.Section("model");
        TokenModel? model = null;
        var parts = new TokenizerParts(path) { Model = _ => model! };
        model = ModelReader.Read(section, parts.Vocabulary);
        var modelTokens = parts.Vocabulary.Ids.Count;
        foreach (var token in root.Sections("added_tokens"))
        {
            AddToken(token, parts, modelTokens);
        }

        var preTokenizer = root.OptionalSection("pre_tokenizer");
        parts.Normalizer = PipelineReader.ReadNormalizer(root.OptionalSection("normalizer"));
        parts.PreTokenizer = PipelineReader.ReadPreTokenizer(preTokenizer, config.AddPrefixSpace);
        parts.PostProcessor = PipelineReader.ReadPostProcessor(root.OptionalSection("post_processor"), parts.Vocabulary);
        parts.Decoder = PipelineReader.ReadDecoder(root.OptionalSection("decoder")) ?? parts.Decoder;
        root.Done();
        return parts;
    }

    // A token that the model has, too, keeps its id. Others get the ids that follow the model's to Hugging Face, whatever the file
    // says; a file that says otherwise is refused.
    private static void AddToken(JsonSection section, TokenizerParts parts, int modelTokens)
    {
        var token = TokenizerConfig.ReadAddedToken(section, section.Number("id"), section.Flag("special"));
        section.Done();
        if (token.Content.Length == 0)
        {
            throw section.Damaged("content", "must not be empty");
        }

        if (!parts.Vocabulary.Ids.TryGetValue(token.Content, out var id))
        {
            parts.Vocabulary.Add(token.Content, token.Id, "added_tokens");
            id = Math.Max(modelTokens, parts.AddedTokens.Count == 0 ? 0 : parts.AddedTokens.Keys.Max() + 1);
        }

        if (id != token.Id)
        {
            throw section.Damaged("id", $"gives \"{token.Content}\" the id {token.Id}, and Hugging Face {id}");
        }

        parts.AddedTokens[id] = token;
    }
}

using System.Text;
using System.Text.Json;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>Reads the steps of tokenizer.json. Source: Hugging Face tokenizers, the serialization of its components.</summary>
internal static class PipelineReader
{
    private const int DeepestSequence = 16;

    /// <summary>A normalizer; null where there is none.</summary>
    public static Normalizer? ReadNormalizer(JsonSection? section, int depth = 0)
    {
        if (section is null)
        {
            return null;
        }

        Normalizer normalizer = section.Type switch
        {
            "Sequence" => new NormalizerSequence([.. Steps(section, "normalizers", depth).Select(step => ReadNormalizer(step, depth + 1)!)]),
            "NFC" => new UnicodeNormalizer(NormalizationForm.FormC),
            "NFD" => new UnicodeNormalizer(NormalizationForm.FormD),
            "NFKC" => new UnicodeNormalizer(NormalizationForm.FormKC),
            "NFKD" => new UnicodeNormalizer(NormalizationForm.FormKD),
            "Lowercase" => new LowercaseNormalizer(),
            "Strip" => new StripNormalizer(section.Flag("strip_left"), section.Flag("strip_right")),
            "StripAccents" => CharacterNormalizer.StripAccents,
            "Nmt" => CharacterNormalizer.Nmt,
            "Prepend" => new PrependNormalizer(section.Text("prepend")),
            "Replace" => new ReplaceNormalizer(ReadPattern(section), section.Text("content")),
            "Precompiled" => ReadCharsmap(section),
            "BertNormalizer" => ReadBertNormalizer(section),
            var type => throw section.Unsupported("type", $"{type} is not a normalizer that is known here"),
        };
        section.Done();
        return normalizer;
    }

    /// <summary>A pre-tokenizer; null where there is none.</summary>
    /// <param name="section">Its section.</param>
    /// <param name="addPrefixSpace">What tokenizer_config.json has instead of a ByteLevel's own add_prefix_space; null: nothing.</param>
    /// <param name="depth">Sequences around it.</param>
    public static PreTokenizer? ReadPreTokenizer(JsonSection? section, bool? addPrefixSpace, int depth = 0)
    {
        if (section is null)
        {
            return null;
        }

        PreTokenizer preTokenizer = section.Type switch
        {
            "Sequence" => new PreTokenizerSequence([.. Steps(section, "pretokenizers", depth).Select(step => ReadPreTokenizer(step, null, depth + 1)!)]),
            "ByteLevel" => ReadByteLevel(section, addPrefixSpace),
            "Metaspace" => ReadMetaspace(section),
            "Split" => new PatternSplit(ReadPattern(section), ReadBehavior(section), section.Flag("invert")),
            "Whitespace" => new WhitespacePreTokenizer(),
            "WhitespaceSplit" => CharacterSplit.AtWhiteSpace,
            "Punctuation" => new CharacterSplit(Characters.IsPunctuation, section.Has("behavior") ? ReadBehavior(section) : SplitBehavior.Isolated),
            "Digits" => new CharacterSplit(Characters.IsNumber, section.Flag("individual_digits") ? SplitBehavior.Isolated : SplitBehavior.Contiguous),
            "BertPreTokenizer" => CharacterSplit.Bert,
            "CharDelimiterSplit" => ReadDelimiterSplit(section),
            var type => throw section.Unsupported("type", $"{type} is not a pre-tokenizer that is known here"),
        };
        section.Done();
        return preTokenizer;
    }

    /// <summary>A decoder; null where there is none.</summary>
    public static TokenDecoder? ReadDecoder(JsonSection? section, int depth = 0)
    {
        if (section is null)
        {
            return null;
        }

        TokenDecoder decoder = section.Type switch
        {
            "Sequence" => new DecoderSequence([.. Steps(section, "decoders", depth).Select(step => ReadDecoder(step, depth + 1)!)]),
            "ByteLevel" => new ByteLevelDecoder(),
            "ByteFallback" => new ByteFallbackDecoder(),
            "Fuse" => new FuseDecoder(),
            "Metaspace" => TokenRewriter.Metaspace(ReadReplacement(section), ReadScheme(section) != PrependScheme.Never),
            "Strip" => new StripDecoder(ReadCharacter(section, "content"), section.Number("start"), section.Number("stop")),
            "Replace" => ReadReplaceDecoder(section),
            "BPEDecoder" => TokenRewriter.WordSuffix(section.Text("suffix")),
            "WordPiece" => TokenRewriter.WordPiece(section.Text("prefix"), section.Flag("cleanup")),
            var type => throw section.Unsupported("type", $"{type} is not a decoder that is known here"),
        };
        if (decoder is ByteLevelDecoder)
        {
            section.Ignore("add_prefix_space", "trim_offsets", "use_regex");
        }
        else if (decoder is TokenRewriter)
        {
            section.Ignore("split");
        }

        section.Done();
        return decoder;
    }

    /// <summary>What is done to a text's tokens at the end.</summary>
    public static PostProcessor ReadPostProcessor(JsonSection? section, Vocabulary vocabulary, int depth = 0)
    {
        if (section is null)
        {
            return PostProcessor.None;
        }

        var processor = section.Type switch
        {
            "Sequence" => Steps(section, "processors", depth).Select(step => ReadPostProcessor(step, vocabulary, depth + 1)).Aggregate(
                PostProcessor.None,
                (sofar, step) => new PostProcessor([.. step.Prefix, .. sofar.Prefix], [.. sofar.Suffix, .. step.Suffix])
                {
                    TrimsKeepingFirstSpace = Both(section, sofar.TrimsKeepingFirstSpace, step.TrimsKeepingFirstSpace),
                }),
            "ByteLevel" => ReadTrimming(section, PostProcessor.None),
            "TemplateProcessing" => ReadTemplate(section, vocabulary),
            "BertProcessing" => ReadPair(section, vocabulary),
            "RobertaProcessing" => ReadTrimming(section, ReadPair(section, vocabulary)),
            var type => throw section.Unsupported("type", $"{type} is not a post-processor that is known here"),
        };
        section.Done();
        return processor;

        static bool? Both(JsonSection section, bool? first, bool? second) => first is null || second is null
            ? first ?? second
            : throw section.Unsupported("processors", "must trim offsets at most once");
    }

    private static IEnumerable<JsonSection> Steps(JsonSection section, string field, int depth) => depth < DeepestSequence
        ? section.Has(field) ? section.Sections(field) : throw section.Damaged(field, "is missing")
        : throw section.Unsupported(field, $"is a sequence in {DeepestSequence} sequences");

    private static TokenizerPattern ReadPattern(JsonSection section)
    {
        var pattern = section.Section("pattern");
        if (pattern.OptionalText("String") is { } text)
        {
            pattern.Done();
            return TokenizerPattern.Plain(text);
        }

        var expression = pattern.OptionalText("Regex") ?? throw section.Unsupported("pattern", "must be a String or a Regex");
        pattern.Done();
        try
        {
            return TokenizerPattern.Expression(expression);
        }
        catch (FormatException e)
        {
            throw section.Unsupported("pattern.Regex", e.Message);
        }
    }

    private static SplitBehavior ReadBehavior(JsonSection section) => section.Text("behavior") switch
    {
        "Removed" => SplitBehavior.Removed,
        "Isolated" => SplitBehavior.Isolated,
        "MergedWithPrevious" => SplitBehavior.MergedWithPrevious,
        "MergedWithNext" => SplitBehavior.MergedWithNext,
        "Contiguous" => SplitBehavior.Contiguous,
        var behavior => throw section.Unsupported("behavior", $"{behavior} is not known here"),
    };

    private static PrecompiledCharsmap ReadCharsmap(JsonSection section)
    {
        try
        {
            return new PrecompiledCharsmap(Convert.FromBase64String(section.Text("precompiled_charsmap")));
        }
        catch (FormatException e)
        {
            throw section.Damaged("precompiled_charsmap", e.Message);
        }
    }

    private static Normalizer ReadBertNormalizer(JsonSection section)
    {
        var lowercase = section.Flag("lowercase");
        return BertNormalizer.Create(
            section.Flag("clean_text"), section.Flag("handle_chinese_chars"), section.OptionalFlag("strip_accents") ?? lowercase, lowercase);
    }

    private static ByteLevelPreTokenizer ReadByteLevel(JsonSection section, bool? addPrefixSpace)
    {
        section.Ignore("trim_offsets"); // it is the post-processor's that counts
        var own = section.Flag("add_prefix_space");
        return new ByteLevelPreTokenizer(addPrefixSpace ?? own, section.OptionalFlag("use_regex") ?? true);
    }

    private static MetaspacePreTokenizer ReadMetaspace(JsonSection section) =>
        new(ReadReplacement(section), ReadScheme(section), section.OptionalFlag("split") ?? true);

    private static char ReadReplacement(JsonSection section)
    {
        section.Ignore("str_rep"); // the same once more, in old files
        return ReadCharacter(section, "replacement");
    }

    private static char ReadCharacter(JsonSection section, string field) =>
        section.Text(field) is [var character] && !char.IsSurrogate(character)
            ? character
            : throw section.Unsupported(field, "must be one character up to U+FFFF");

    // Files older than prepend_scheme have add_prefix_space alone; where both stand, they must agree.
    private static PrependScheme ReadScheme(JsonSection section)
    {
        var addPrefixSpace = section.OptionalFlag("add_prefix_space");
        var scheme = section.OptionalText("prepend_scheme") switch
        {
            "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            null => addPrefixSpace == false ? PrependScheme.Never : PrependScheme.Always,
            var other => throw section.Unsupported("prepend_scheme", $"must be always, first or never, not {other}"),
        };
        return addPrefixSpace is null || addPrefixSpace == (scheme != PrependScheme.Never)
            ? scheme
            : throw section.Unsupported("add_prefix_space", "contradicts prepend_scheme");
    }

    private static CharacterSplit ReadDelimiterSplit(JsonSection section)
    {
        var delimiter = ReadCharacter(section, "delimiter");
        return new CharacterSplit(rune => rune.Value == delimiter, SplitBehavior.Removed);
    }

    private static TokenDecoder ReadReplaceDecoder(JsonSection section)
    {
        var content = section.Text("content");
        var plain = section.Section("pattern").OptionalText("String");
        var pattern = ReadPattern(section);
        return plain is [var character] ? new CharacterDecoder(character, content) : TokenRewriter.Replace(pattern, content);
    }

    private static PostProcessor ReadTrimming(JsonSection section, PostProcessor processor)
    {
        section.Ignore("use_regex");
        var (trims, keeps) = (section.Flag("trim_offsets"), section.Flag("add_prefix_space"));
        return trims ? processor with { TrimsKeepingFirstSpace = keeps } : processor;
    }

    // BERT's and RoBERTa's: ["<s>", 0] in front, ["</s>", 2] behind.
    private static PostProcessor ReadPair(JsonSection section, Vocabulary vocabulary)
    {
        return new PostProcessor([Id("cls")], [Id("sep")]);

        int Id(string field)
        {
            JsonElement[] pair = [.. section.Elements(field)];
            return pair is [{ ValueKind: JsonValueKind.String }, { ValueKind: JsonValueKind.Number }] && pair[1].TryGetInt32(out var id)
                ? vocabulary.Existing(id, $"post_processor.{field}")
                : throw section.Damaged(field, "must be a token and its id");
        }
    }

    private static PostProcessor ReadTemplate(JsonSection section, Vocabulary vocabulary)
    {
        List<int> prefix = [], suffix = [];
        var sequences = 0;
        var tokens = section.Section("special_tokens");
        foreach (var piece in section.Sections("single"))
        {
            if (piece.OptionalSection("SpecialToken") is { } special)
            {
                var token = tokens.Section(special.Text("id"));
                var ids = token.Elements("ids").Select(id => vocabulary.Existing(id.GetInt32(), $"post_processor.special_tokens.{special.Text("id")}.ids"));
                (sequences == 0 ? prefix : suffix).AddRange(ids);
            }
            else if (piece.OptionalSection("Sequence") is { } sequence && sequence.Text("id") == "A" && sequences == 0)
            {
                sequences++;
            }
            else
            {
                throw section.Unsupported("single", "must be special tokens around one Sequence A");
            }

            piece.Done();
        }

        section.Ignore("pair");
        return sequences == 1
            ? new PostProcessor([.. prefix], [.. suffix])
            : throw section.Unsupported("single", "must be special tokens around one Sequence A");
    }
}

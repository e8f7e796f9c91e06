using System.Text.Json;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>
/// What tokenizer_config.json, special_tokens_map.json and added_tokens.json say beside a tokenizer's own file. All three may be
/// missing. They are open-ended: other fields of theirs (templates, limits) do not change ids. Source: Hugging Face transformers,
/// PreTrainedTokenizerFast. clean_up_tokenization_spaces is not applied: decoding gives what the tokenizer's decoder gives.
/// </summary>
internal sealed class TokenizerConfig
{
    private static readonly string[] NamedTokens = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    private readonly string _path;
    private readonly string _addedPath;
    private readonly Dictionary<string, AddedToken> _named = new(StringComparer.Ordinal); // by field; the ids are not known yet
    private readonly List<AddedToken> _additional = [];
    private readonly List<AddedToken> _listed = []; // added_tokens_decoder
    private readonly Dictionary<string, int> _addedTokens = new(StringComparer.Ordinal); // added_tokens.json

    /// <param name="folder">The tokenizer's folder.</param>
    /// <param name="files">Reads a file of it; null where there is none.</param>
    public TokenizerConfig(string folder, Func<string, byte[]?> files)
    {
        _path = Path.Combine(folder, "tokenizer_config.json");
        _addedPath = Path.Combine(folder, "added_tokens.json");
        var map = Path.Combine(folder, "special_tokens_map.json");
        if (files(_path) is { } config)
        {
            JsonSection.Read(_path, config, root =>
            {
                ReadConfig(root);
                return true;
            });
        }

        if (files(map) is { } tokens)
        {
            JsonSection.Read(map, tokens, root =>
            {
                ReadNamed(root);
                return true;
            });
        }

        if (files(_addedPath) is { } added)
        {
            JsonSection.Read(_addedPath, added, root =>
            {
                foreach (var entry in root.Properties())
                {
                    _addedTokens.Add(entry.Name, entry.Value.GetInt32());
                }

                return true;
            });
        }
    }

    /// <summary>tokenizer_class, without the ending "Fast"; empty if it is not named.</summary>
    public string Class { get; private set; } = "";

    /// <summary>add_prefix_space.</summary>
    public bool? AddPrefixSpace { get; private set; }

    /// <summary>legacy, which a SentencePiece model alone asks for: a prefix for each piece of text between special tokens.</summary>
    public bool Legacy { get; private set; } = true;

    /// <summary>Whether add_bos_token is stated and true.</summary>
    public bool AddsBos => AddBosToken == true;

    private bool? AddBosToken { get; set; }

    private bool? AddEosToken { get; set; }

    /// <summary>How a named token is written ("unk_token"), or null.</summary>
    public string? Named(string field) => _named.GetValueOrDefault(field)?.Content;

    /// <summary>Names a token where the files name none.</summary>
    public void Default(string field, string content) => _named.TryAdd(field, Special(content));

    /// <summary>
    /// Adds these files' tokens to a tokenizer's, as transformers does: a token listed here takes the place of one with other
    /// flags, and one named here that is not an added token becomes a special one.
    /// </summary>
    public void AddTokens(TokenizerParts parts)
    {
        var vocabulary = parts.Vocabulary;
        foreach (var token in _listed)
        {
            if (!vocabulary.Ids.TryGetValue(token.Content, out var id))
            {
                vocabulary.Add(token.Content, id = token.Id, "added_tokens_decoder");
            }
            else if (id != token.Id)
            {
                throw Unsupported("added_tokens_decoder", $"gives \"{token.Content}\" the id {token.Id}, elsewhere it is {id}");
            }

            parts.AddedTokens[id] = token with { Id = id };
        }

        foreach (var (content, id) in _addedTokens)
        {
            if (!vocabulary.Ids.TryGetValue(content, out var existing))
            {
                vocabulary.Add(content, existing = id, "added_tokens.json");
            }

            if (existing != id)
            {
                throw LrtMeshException.Mismatch($"{_addedPath}: {content}", $"has the id {id}, elsewhere it is {existing}");
            }

            var special = _named.Values.Concat(_additional).Any(token => token.Content == content);
            parts.AddedTokens.TryAdd(id, new AddedToken(id, content, Normalized: !special, special));
        }

        parts.BosId = IdOf("bos_token", vocabulary);
        parts.EosId = IdOf("eos_token", vocabulary);
        foreach (var token in NamedTokens.Select(field => _named.GetValueOrDefault(field)).OfType<AddedToken>().Concat(_additional))
        {
            if (!vocabulary.Ids.TryGetValue(token.Content, out var id))
            {
                vocabulary.Add(token.Content, id = vocabulary.Size, "special tokens");
            }

            parts.AddedTokens.TryAdd(id, token with { Id = id });
        }
    }

    /// <summary>
    /// Sees that bos and eos are added as add_bos_token and add_eos_token say. The classes that have always done so put them around
    /// the text anew; for others, libraries differ in whom they believe where the files differ, and that is refused.
    /// </summary>
    public void ApplyBosAndEos(TokenizerParts parts)
    {
        var rebuilds = Class is "Llama" or "CodeLlama" or "Gemma" or "GPTNeoX" or "Cohere";
        var bos = AddBosToken ?? (Class is "Llama" or "CodeLlama" or "Gemma" or "Cohere" ? true : null);
        var eos = AddEosToken ?? (rebuilds ? false : null);
        var processor = parts.PostProcessor;
        processor = Agree("add_bos_token", bos, parts.BosId, processor.Prefix, () => processor with { Prefix = bos == true ? [parts.BosId!.Value] : [] });
        processor = Agree("add_eos_token", eos, parts.EosId, processor.Suffix, () => processor with { Suffix = eos == true ? [parts.EosId!.Value] : [] });
        parts.PostProcessor = processor;

        PostProcessor Agree(string field, bool? stated, int? id, int[] added, Func<PostProcessor> rebuilt)
        {
            var adds = id is { } token && added.Contains(token);
            if (stated is null || stated == adds)
            {
                return processor;
            }

            if (stated == true && id is null)
            {
                throw Unsupported(field, $"is true, but no {field[4..]} is named");
            }

            return rebuilds
                ? rebuilt()
                : throw Unsupported(field, $"must be {(adds ? "true" : "false")}, as the tokenizer's post_processor has it");
        }
    }

    /// <summary>The error for a field of tokenizer_config.json that is not supported as it is.</summary>
    public LrtMeshException Unsupported(string field, string description) => LrtMeshException.Mismatch($"{_path}: {field}", description);

    private static AddedToken Special(string content) => new(-1, content, Normalized: false, Special: true);

    private void ReadConfig(JsonSection root)
    {
        var name = root.OptionalText("tokenizer_class") ?? "";
        Class = name.EndsWith("Fast", StringComparison.Ordinal) ? name[..^4] : name;
        Class = Class.EndsWith("Tokenizer", StringComparison.Ordinal) ? Class[..^9] : Class;
        AddPrefixSpace = root.OptionalFlag("add_prefix_space");
        Legacy = root.OptionalFlag("legacy") ?? true;
        AddBosToken = root.OptionalFlag("add_bos_token");
        AddEosToken = root.OptionalFlag("add_eos_token");
        if (root.OptionalSection("added_tokens_decoder") is { } listed)
        {
            foreach (var entry in listed.Properties().ToArray())
            {
                var section = listed.Section(entry.Name);
                var id = int.TryParse(entry.Name, out var number) && number >= 0 ? number : throw listed.Damaged(entry.Name, "is not an id");
                _listed.Add(ReadAddedToken(section, id, section.OptionalFlag("special") ?? false));
            }
        }

        ReadNamed(root);
    }

    private void ReadNamed(JsonSection root)
    {
        foreach (var field in NamedTokens)
        {
            if (root.Find(field) is { } value)
            {
                _named.TryAdd(field, ReadToken(root, field, value));
            }
        }

        // extra_special_tokens has been an object of names and tokens, too.
        foreach (var field in new[] { "additional_special_tokens", "extra_special_tokens" })
        {
            if (root.Find(field) is { } value)
            {
                var tokens = value.ValueKind == JsonValueKind.Object ? value.EnumerateObject().Select(entry => entry.Value) : value.EnumerateArray();
                _additional.AddRange(tokens.Select(token => ReadToken(root, field, token)));
            }
        }
    }

    private static AddedToken ReadToken(JsonSection root, string field, JsonElement value)
    {
        return value.ValueKind switch
        {
            JsonValueKind.String => Special(value.GetString()!),
            JsonValueKind.Object => new AddedToken(
                -1, value.GetProperty("content").GetString() ?? "", Flag("normalized"), Special: true, Flag("single_word"), Flag("lstrip"), Flag("rstrip")),
            _ => throw root.Damaged(field, "must be a text or a token"),
        };

        bool Flag(string name) => value.TryGetProperty(name, out var flag) && flag.GetBoolean();
    }

    /// <summary>An added token, as tokenizer.json and tokenizer_config.json both write it.</summary>
    public static AddedToken ReadAddedToken(JsonSection section, int id, bool special) => new(
        id, section.Text("content"), section.OptionalFlag("normalized") ?? !special, special, section.OptionalFlag("single_word") ?? false,
        section.OptionalFlag("lstrip") ?? false, section.OptionalFlag("rstrip") ?? false);

    private int? IdOf(string field, Vocabulary vocabulary) => !_named.TryGetValue(field, out var token) ? null
        : vocabulary.Ids.TryGetValue(token.Content, out var id) ? id
        : throw new LrtMeshException(ErrorReason.DataLoss, [new Violation($"{_path}: {field}", $"is \"{token.Content}\", which is not a token of the tokenizer")]);
}

using System.Text;
using System.Text.Json;

namespace LrtMesh.Core.Models.Tokenizers;

/// <summary>What tokenizer.json and the tokenizer_config.json beside it say, checked.</summary>
internal sealed class TokenizerFile
{
    private const long LargestFile = 256L << 20; // bytes; a vocabulary of 256,000 tokens takes about 35 MB

    private readonly string _path;
    private readonly string _configPath;
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);

    private TokenizerFile(string folder)
    {
        _path = Path.Combine(folder, "tokenizer.json");
        _configPath = Path.Combine(folder, "tokenizer_config.json");
        var bytes = ReadFile(_path);
        Parse(_path, bytes, ReadPipeline);
        Parse(_configPath, ReadFile(_configPath), ReadConfig);
        using var digest = new ContentDigest();
        Digest = digest.Add("tokenizer").Add(bytes.LongLength).AddBytes(bytes).Add(BosId ?? -1).Add(EosId ?? -1).Finish();
    }

    /// <summary>The UTF-8 that each id stands for, [vocabulary].</summary>
    public byte[][] Bytes { get; private set; } = [];

    /// <summary>The id of each single byte, [256].</summary>
    public int[] ByteIds { get; private set; } = [];

    /// <summary>The merges, in the order of their rank.</summary>
    public (int Left, int Right, int Merged)[] Merges { get; private set; } = [];

    /// <summary>The added tokens.</summary>
    public AddedToken[] AddedTokens { get; private set; } = [];

    /// <summary>The ids that go in front of a sequence.</summary>
    public int[] Prefix { get; private set; } = [];

    /// <summary>The ids that go behind a sequence.</summary>
    public int[] Suffix { get; private set; } = [];

    /// <summary>The token that begins a sequence, if one is named.</summary>
    public int? BosId { get; private set; }

    /// <summary>The token that ends a sequence, if one is named.</summary>
    public int? EosId { get; private set; }

    /// <inheritdoc cref="Tokenizer.Digest"/>
    public string Digest { get; }

    /// <summary>Reads both files of a folder.</summary>
    /// <exception cref="LrtMeshException">As <see cref="Tokenizer.Load"/> says.</exception>
    public static TokenizerFile Read(string folder) => new(folder);

    private static byte[] ReadFile(string path)
    {
        try
        {
            var length = new FileInfo(path).Length;
            return length <= LargestFile
                ? File.ReadAllBytes(path)
                : throw Damaged(path, $"has {length} bytes; a tokenizer has at most {LargestFile}");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw LrtMeshException.NotFound(path, "no such file; a model's folder needs tokenizer.json and tokenizer_config.json");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"{path} cannot be read: {e.Message}", e);
        }
    }

    private static void Parse(string path, byte[] bytes, Action<JsonElement> read)
    {
        try
        {
            using var document = JsonDocument.Parse(bytes);
            read(document.RootElement);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or KeyNotFoundException)
        {
            // The last three are what JsonElement throws where an element is of another kind, or missing.
            throw new LrtMeshException(ErrorReason.DataLoss, $"{path} is not a tokenizer's description: {e.Message}", e);
        }
    }

    private static LrtMeshException Damaged(string path, string description) =>
        new(ErrorReason.DataLoss, [new Violation(path, description)]);

    private static JsonElement Section(JsonElement element, string name) =>
        element.TryGetProperty(name, out var section) ? section : throw new KeyNotFoundException($"it has no {name}");

    private static string Text(JsonElement element) =>
        element.GetString() ?? throw new InvalidOperationException("null stands where a text is needed");

    private void ReadPipeline(JsonElement root)
    {
        PipelineOptions.Check(_path, "", root, PipelineOptions.File);
        PipelineOptions.Check(_path, "pre_tokenizer.", Section(root, "pre_tokenizer"), PipelineOptions.PreTokenizer);
        PipelineOptions.Check(_path, "decoder.", Section(root, "decoder"), PipelineOptions.Decoder);
        var model = Section(root, "model");
        PipelineOptions.Check(_path, "model.", model, PipelineOptions.Model);

        foreach (var entry in Section(model, "vocab").EnumerateObject())
        {
            _ids[entry.Name] = entry.Value.GetInt32();
        }

        AddedTokens = [.. Section(root, "added_tokens").EnumerateArray().Select(ReadAddedToken)];
        Bytes = AllBytes();
        ByteIds = [.. Enumerable.Range(0, 256).Select(value => IdOf("model.vocab", ByteLevel.SymbolOf((byte)value).ToString()))];
        Merges = [.. Section(model, "merges").EnumerateArray().Select(ReadMerge)];
        if (root.TryGetProperty("post_processor", out var processor) && processor.ValueKind != JsonValueKind.Null)
        {
            PipelineOptions.Check(_path, "post_processor.", processor, PipelineOptions.PostProcessor);
            if (processor.TryGetProperty("single", out var single))
            {
                ReadTemplate(single, Section(processor, "special_tokens"));
            }
        }
    }

    private AddedToken ReadAddedToken(JsonElement element, int index)
    {
        PipelineOptions.Check(_path, $"added_tokens[{index}].", element, PipelineOptions.AddedToken);
        var id = Section(element, "id").GetInt32();
        var content = Text(Section(element, "content"));
        if (_ids.TryGetValue(content, out var existing) && existing != id)
        {
            throw Damaged(_path, $"added_tokens[{index}] gives \"{content}\" the id {id}, elsewhere it is {existing}");
        }

        _ids[content] = id;
        return new AddedToken(id, content, Section(element, "normalized").GetBoolean(), Section(element, "special").GetBoolean());
    }

    // Ids run from 0 without gaps, so the table is no larger than the file.
    private byte[][] AllBytes()
    {
        var added = AddedTokens.Select(token => token.Content).ToHashSet(StringComparer.Ordinal);
        var bytes = new byte[_ids.Count][];
        foreach (var (token, id) in _ids)
        {
            if (id < 0 || id >= bytes.Length || bytes[id] is not null)
            {
                throw Damaged(_path, $"{bytes.Length} tokens need the ids 0 to {bytes.Length - 1}, each once; \"{token}\" has {id}");
            }

            // As Hugging Face decodes: an entry with a character that stands for no byte is taken as it is written.
            bytes[id] = (added.Contains(token) ? null : ByteLevel.BytesOf(token)) ?? Encoding.UTF8.GetBytes(token);
        }

        return bytes;
    }

    // Either "a b" or ["a", "b"].
    private (int Left, int Right, int Merged) ReadMerge(JsonElement merge, int rank)
    {
        string[] pair = merge.ValueKind == JsonValueKind.Array ? [.. merge.EnumerateArray().Select(Text)] : Text(merge).Split(' ');
        var place = $"model.merges[{rank}]";
        return pair is [var left, var right]
            ? (IdOf(place, left), IdOf(place, right), IdOf(place, left + right))
            : throw Damaged(_path, $"{place} must name two tokens");
    }

    private void ReadTemplate(JsonElement single, JsonElement specialTokens)
    {
        List<int> prefix = [], suffix = [];
        var sequences = 0;
        foreach (var piece in single.EnumerateArray())
        {
            if (piece.TryGetProperty("SpecialToken", out var special))
            {
                var ids = Section(Section(specialTokens, Text(Section(special, "id"))), "ids");
                (sequences == 0 ? prefix : suffix).AddRange(ids.EnumerateArray().Select(id => Existing(id.GetInt32())));
            }
            else if (piece.TryGetProperty("Sequence", out var sequence) && Text(Section(sequence, "id")) == "A" && sequences == 0)
            {
                sequences++;
            }
            else
            {
                throw PipelineOptions.Unsupported(_path, "post_processor.single", "must be special tokens around one Sequence A");
            }
        }

        (Prefix, Suffix) = ([.. prefix], [.. suffix]);
    }

    private int Existing(int id) => id >= 0 && id < Bytes.Length
        ? id
        : throw Damaged(_path, $"post_processor.special_tokens has the id {id}, but there are {Bytes.Length} tokens");

    private int IdOf(string place, string token) => _ids.TryGetValue(token, out var id)
        ? id
        : throw Damaged(_path, $"{place} needs the token \"{token}\", which has no id");

    private void ReadConfig(JsonElement root)
    {
        BosId = ReadNamedToken(root, "bos_token");
        EosId = ReadNamedToken(root, "eos_token");
        Agree("add_bos_token", BosId, Prefix);
        Agree("add_eos_token", EosId, Suffix);
        if (root.TryGetProperty("add_prefix_space", out var space) && space.ValueKind == JsonValueKind.True)
        {
            throw PipelineOptions.Unsupported(_configPath, "add_prefix_space", "must be false");
        }

        // Where the two files differ, libraries differ in whom they believe.
        void Agree(string option, int? id, int[] added)
        {
            if (root.TryGetProperty(option, out var stated) && stated.ValueKind is JsonValueKind.True or JsonValueKind.False)
            {
                var adds = id is { } token && added.Contains(token);
                if (stated.GetBoolean() != adds)
                {
                    throw PipelineOptions.Unsupported(
                        _configPath, option, $"must be {(adds ? "true" : "false")}, as the post_processor of {_path} has it");
                }
            }
        }
    }

    private int? ReadNamedToken(JsonElement root, string option)
    {
        if (!root.TryGetProperty(option, out var named) || named.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        var token = Text(named.ValueKind == JsonValueKind.Object ? Section(named, "content") : named);
        return _ids.TryGetValue(token, out var id)
            ? id
            : throw Damaged(_configPath, $"{option} is \"{token}\", which is not a token of {_path}");
    }
}

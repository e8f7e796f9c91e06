using System.Runtime.InteropServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using LrtMesh.Core;
using LrtMesh.Core.Models.Tokenizers;

namespace LrtMesh.TinyFamily;

/// <summary>
/// Trains a byte-level BPE tokenizer and writes it as Hugging Face's library reads it. Id 0 is <see cref="EndOfText"/>, which
/// begins and ends a sequence, 1 to 256 are the bytes in the order of their symbols, then come the merges in their order.
/// </summary>
/// <remarks>
/// Source: Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units", 2016. Each step merges the pair that
/// occurs most often within words; of pairs that occur equally often, the one whose left id is lowest, then whose right id is.
/// So the result depends on the counts of words alone, not on the order of the documents.
/// </remarks>
public sealed class BpeTrainer
{
    /// <summary>The special token.</summary>
    public const string EndOfText = "<|endoftext|>";

    private const int Bytes = 256;

    private readonly List<string> _tokens = [EndOfText]; // by id, in the symbols of ByteLevel
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal) { [EndOfText] = 0 };
    private readonly List<(int Left, int Right)> _merges = [];
    private readonly List<(int[] Symbols, long Count)> _words = [];
    private readonly Dictionary<(int Left, int Right), long> _counts = [];
    private readonly Dictionary<(int Left, int Right), HashSet<int>> _wordsOf = []; // words in which a pair occurs or once did
    private readonly PriorityQueue<((int Left, int Right) Pair, long Count), (long NegatedCount, int Left, int Right)> _queue = new();

    private BpeTrainer(IEnumerable<string> documents)
    {
        // The symbols sorted by character, as Hugging Face's own trainer numbers them.
        foreach (var symbol in Enumerable.Range(0, Bytes).Select(value => ByteLevel.SymbolOf((byte)value)).Order())
        {
            _ids[symbol.ToString()] = _tokens.Count;
            _tokens.Add(symbol.ToString());
        }

        var byteIds = Enumerable.Range(0, Bytes).Select(value => _ids[ByteLevel.SymbolOf((byte)value).ToString()]).ToArray();
        foreach (var (word, count) in CountWords(documents))
        {
            int[] symbols = [.. Encoding.UTF8.GetBytes(word).Select(value => byteIds[value])];
            _words.Add((symbols, count));
            AddPairs(_words.Count - 1, symbols, count, null);
        }

        foreach (var (pair, count) in _counts)
        {
            Enqueue(pair, count);
        }
    }

    /// <summary>Trains on the documents and writes tokenizer.json and tokenizer_config.json.</summary>
    /// <param name="documents">The texts; one pass is made over them.</param>
    /// <param name="vocabularySize">Number of tokens, at least 257.</param>
    /// <param name="folder">Where the two files go; made if it is missing.</param>
    /// <exception cref="LrtMeshException">INVALID_ARGUMENT: the size is too small, or the text has too few pairs for it.</exception>
    public static void Train(IEnumerable<string> documents, int vocabularySize, string folder)
    {
        if (vocabularySize < Bytes + 1)
        {
            throw LrtMeshException.Invalid("vocabulary_size", $"must be at least {Bytes + 1}: each byte and {EndOfText}");
        }

        var trainer = new BpeTrainer(documents);
        while (trainer._tokens.Count < vocabularySize)
        {
            if (!trainer.MergeNext())
            {
                throw LrtMeshException.Invalid("vocabulary_size", $"must be at most {trainer._tokens.Count}: the text has no more pairs");
            }
        }

        Directory.CreateDirectory(folder);
        Write(Path.Combine(folder, "tokenizer.json"), trainer.WritePipeline);
        Write(Path.Combine(folder, "tokenizer_config.json"), WriteConfig);
    }

    private static Dictionary<string, long> CountWords(IEnumerable<string> documents)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        foreach (var document in documents)
        {
            for (int start = 0, end; start < document.Length; start = end)
            {
                end = ByteLevel.WordEnd(document, start);
                CollectionsMarshal.GetValueRefOrAddDefault(lookup, document.AsSpan(start, end - start), out _)++;
            }
        }

        return counts;
    }

    private void Enqueue((int Left, int Right) pair, long count) => _queue.Enqueue((pair, count), (-count, pair.Left, pair.Right));

    // Adds the pairs of a word to the counts, with a negative count takes them away; says which pairs it touched.
    private void AddPairs(int word, int[] symbols, long count, HashSet<(int Left, int Right)>? touched)
    {
        for (var i = 0; i + 1 < symbols.Length; i++)
        {
            var pair = (symbols[i], symbols[i + 1]);
            CollectionsMarshal.GetValueRefOrAddDefault(_counts, pair, out _) += count;
            touched?.Add(pair);
            ref var words = ref CollectionsMarshal.GetValueRefOrAddDefault(_wordsOf, pair, out _);
            (words ??= []).Add(word);
        }
    }

    // An entry of the queue whose count has changed is out of date; each change has put in a new one.
    private bool MergeNext()
    {
        while (_queue.TryDequeue(out var entry, out _))
        {
            if (entry.Count > 0 && _counts.GetValueOrDefault(entry.Pair) == entry.Count)
            {
                Merge(entry.Pair);
                return true;
            }
        }

        return false;
    }

    private void Merge((int Left, int Right) pair)
    {
        // Two pairs can spell the same token, which then has one id and two merges.
        var token = _tokens[pair.Left] + _tokens[pair.Right];
        if (!_ids.TryGetValue(token, out var merged))
        {
            merged = _ids[token] = _tokens.Count;
            _tokens.Add(token);
        }

        _merges.Add(pair);
        var touched = new HashSet<(int Left, int Right)>();
        foreach (var word in _wordsOf[pair].ToArray())
        {
            var (symbols, count) = _words[word];
            int[] shorter = Replace(symbols, pair, merged);
            AddPairs(word, symbols, -count, touched);
            AddPairs(word, shorter, count, touched);
            _words[word] = (shorter, count);
        }

        _wordsOf.Remove(pair);
        foreach (var changed in touched)
        {
            Enqueue(changed, _counts[changed]);
        }
    }

    private static int[] Replace(int[] symbols, (int Left, int Right) pair, int merged)
    {
        var shorter = new List<int>(symbols.Length);
        for (var i = 0; i < symbols.Length; i++)
        {
            var matches = i + 1 < symbols.Length && symbols[i] == pair.Left && symbols[i + 1] == pair.Right;
            shorter.Add(matches ? merged : symbols[i]);
            i += matches ? 1 : 0;
        }

        return [.. shorter];
    }

    private static void Write(string path, Action<Utf8JsonWriter> write)
    {
        using var file = File.Create(path);
        using (var json = new Utf8JsonWriter(
            file, new JsonWriterOptions { Indented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        file.WriteByte((byte)'\n');
    }

    private static void WriteConfig(Utf8JsonWriter json)
    {
        json.WriteBoolean("add_bos_token", true);
        json.WriteBoolean("add_eos_token", false);
        json.WriteString("bos_token", EndOfText);
        json.WriteBoolean("clean_up_tokenization_spaces", false);
        json.WriteString("eos_token", EndOfText);
        json.WriteString("tokenizer_class", "PreTrainedTokenizerFast");
    }

    private void WritePipeline(Utf8JsonWriter json)
    {
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        json.WriteStartArray("added_tokens");
        json.WriteStartObject();
        json.WriteNumber("id", 0);
        json.WriteString("content", EndOfText);
        json.WriteBoolean("single_word", false);
        json.WriteBoolean("lstrip", false);
        json.WriteBoolean("rstrip", false);
        json.WriteBoolean("normalized", false);
        json.WriteBoolean("special", true);
        json.WriteEndObject();
        json.WriteEndArray();
        json.WriteNull("normalizer");
        WriteByteLevel(json, "pre_tokenizer");
        WriteTemplate(json);
        WriteByteLevel(json, "decoder");
        WriteModel(json);
    }

    private static void WriteByteLevel(Utf8JsonWriter json, string section)
    {
        json.WriteStartObject(section);
        json.WriteString("type", "ByteLevel");
        json.WriteBoolean("add_prefix_space", false);
        json.WriteBoolean("trim_offsets", false);
        json.WriteBoolean("use_regex", true);
        json.WriteEndObject();
    }

    // Puts the special token in front of each sequence.
    private static void WriteTemplate(Utf8JsonWriter json)
    {
        json.WriteStartObject("post_processor");
        json.WriteString("type", "TemplateProcessing");
        json.WriteStartArray("single");
        WritePiece("SpecialToken", EndOfText, 0);
        WritePiece("Sequence", "A", 0);
        json.WriteEndArray();
        json.WriteStartArray("pair");
        WritePiece("SpecialToken", EndOfText, 0);
        WritePiece("Sequence", "A", 0);
        WritePiece("SpecialToken", EndOfText, 1);
        WritePiece("Sequence", "B", 1);
        json.WriteEndArray();
        json.WriteStartObject("special_tokens");
        json.WriteStartObject(EndOfText);
        json.WriteString("id", EndOfText);
        json.WriteStartArray("ids");
        json.WriteNumberValue(0);
        json.WriteEndArray();
        json.WriteStartArray("tokens");
        json.WriteStringValue(EndOfText);
        json.WriteEndArray();
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();

        void WritePiece(string kind, string id, int type)
        {
            json.WriteStartObject();
            json.WriteStartObject(kind);
            json.WriteString("id", id);
            json.WriteNumber("type_id", type);
            json.WriteEndObject();
            json.WriteEndObject();
        }
    }

    private void WriteModel(Utf8JsonWriter json)
    {
        json.WriteStartObject("model");
        json.WriteString("type", "BPE");
        json.WriteNull("dropout");
        json.WriteNull("unk_token");
        json.WriteNull("continuing_subword_prefix");
        json.WriteNull("end_of_word_suffix");
        json.WriteBoolean("fuse_unk", false);
        json.WriteBoolean("byte_fallback", false);
        json.WriteStartObject("vocab");
        for (var id = 0; id < _tokens.Count; id++)
        {
            json.WriteNumber(_tokens[id], id);
        }

        json.WriteEndObject();
        json.WriteStartArray("merges");
        foreach (var (left, right) in _merges)
        {
            json.WriteStringValue($"{_tokens[left]} {_tokens[right]}");
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }
}

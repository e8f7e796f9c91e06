using System.Text.Encodings.Web;
using System.Text.Json;
using LrtMesh.Core.Models.Tokenizers;
using LrtMesh.TinyFamily.Corpus;

namespace LrtMesh.TinyFamily;

/// <summary>Writes what ships beside the models: a file a behaviour, and the texts that maps are fitted on.</summary>
public static class FamilyFiles
{
    private const int ContrastPairs = 64;
    private const int DevPrompts = 80;
    private const int TestPrompts = 120;
    private const int MapDocuments = 1500;
    private const int RoomToContinue = 64; // tokens that a prompt leaves of the models' context

    private static readonly JsonSerializerOptions _json = new()
    {
        WriteIndented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // quotes and apostrophes stay readable
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
    };

    private static readonly JsonSerializerOptions _line = new(_json) { WriteIndented = false };

    /// <summary>Writes behaviours/NAME.json; its texts fit the models' context, and prompts leave room to continue them.</summary>
    public static void WriteBehaviours(string folder, Tokenizer tokenizer, int seed)
    {
        Directory.CreateDirectory(folder);
        int Tokens(string text) => tokenizer.Encode(text, addSpecialTokens: true).Count;
        Prompt Open(Random random, string behaviour, Split split)
        {
            Prompt prompt;
            do
            {
                prompt = Grammar.WritePrompt(random, behaviour, split);
            }
            while (Tokens(prompt.Text) > TinyFamily.Context - RoomToContinue);
            return prompt;
        }

        ContrastPair Pair(Random random, string behaviour)
        {
            ContrastPair pair;
            do
            {
                pair = Grammar.WritePair(random, behaviour, Split.Contrast);
            }
            while (Math.Max(Tokens(pair.Positive), Tokens(pair.Negative)) > TinyFamily.Context);
            return pair;
        }

        foreach (var behaviour in Behaviours.All)
        {
            var random = new Random(seed);
            var file = new
            {
                behaviour.Name,
                behaviour.Description,
                behaviour.Rate,
                behaviour.Detector,
                Contrast = Distinct(ContrastPairs, () => Pair(random, behaviour.Name), p => p.Positive),
                Dev = Distinct(DevPrompts, () => Open(random, behaviour.Name, Split.Dev), p => p.Text),
                Test = Distinct(TestPrompts, () => Open(random, behaviour.Name, Split.Test), p => p.Text),
            };
            File.WriteAllText(Path.Combine(folder, behaviour.Name + ".json"), JsonSerializer.Serialize(file, _json) + "\n");
        }
    }

    /// <summary>Writes text/map.jsonl, documents like any other, and text/map-behaviour-free.jsonl, in which every behaviour is absent.</summary>
    public static void WriteMapText(string folder, int seed)
    {
        Directory.CreateDirectory(folder);
        var random = new Random(seed);
        Write("map.jsonl", () => Grammar.Write(random, Split.MapText));
        Write("map-behaviour-free.jsonl", () => Grammar.WriteBehaviourFree(random, Split.MapText));

        void Write(string name, Func<Document> document) => File.WriteAllLines(
            Path.Combine(folder, name),
            Distinct(MapDocuments, document, d => d.Text).Select(d => JsonSerializer.Serialize(new { d.Text, d.Frames }, _line)));
    }

    private static List<T> Distinct<T>(int count, Func<T> make, Func<T, string> text)
    {
        var seen = new HashSet<string>();
        var kept = new List<T>();
        for (var tries = 0; kept.Count < count; tries++)
        {
            if (tries > 100 * count)
            {
                throw new InvalidOperationException($"the grammar gave only {kept.Count} distinct texts of {count}");
            }

            var one = make();
            if (seen.Add(text(one)))
            {
                kept.Add(one);
            }
        }

        return kept;
    }
}

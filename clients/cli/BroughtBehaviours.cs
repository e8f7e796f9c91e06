using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using LrtMesh.Cli.Evaluation;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>
/// Behaviours that a user brings, as items of multiple choice, in the layouts in which people keep them:
/// <list type="bullet">
/// <item>{"question", "answer_matching_behavior", "answer_not_matching_behavior"}: model-written evaluations (Perez et al. 2022, 2212.09251), a .jsonl
/// file a behaviour, and contrastive activation addition (Rimsky et al. 2024, 2312.06681), a folder with generate/NAME/*.json and test/NAME/*_ab.json.</item>
/// <item>{"prompt", "positive", "negative"}: a text and two ways on.</item>
/// <item>{"positive", "negative"}: contrast pairs as `learn --pairs` takes them: two texts of one beginning, or two chats that differ in their last message.</item>
/// </list>
/// A behaviour shows where the model takes the answer that matches it to be the more probable one.
/// </summary>
internal static class BroughtBehaviours
{
    // Of an item's place between 0 and 1, by a hash of its question: where there is one list, and where one is to learn from and one to test on.
    private static readonly (double UpTo, Split Split)[] OneList = [(0.45, Split.Contrast), (0.65, Split.Dev), (0.9, Split.Test), (1, Split.Map)];
    private static readonly (double UpTo, Split Split)[] LearnList = [(0.85, Split.Contrast), (1, Split.Map)];
    private static readonly (double UpTo, Split Split)[] TestList = [(0.4, Split.Dev), (1, Split.Test)];

    // Middle and late layers are where choices are made (2312.06681, section 4); an early one for comparison.
    private static readonly double[] Depths = [0.25, 0.5, 0.75, 1];

    // Fewer leave nothing to choose or report by.
    private const int FewestOfEach = 10;

    // The documents travel in one request.
    private const int MostMapCharacters = 2_000_000;

    // Of the documents of --map-text: a share for what steering costs, and at most so many.
    private const double HeldOutShare = 0.2;
    private const int MostHeldOut = 64;

    private const string Layouts = """An item is {"question", "answer_matching_behavior", "answer_not_matching_behavior"}, {"prompt", "positive", "negative"} or {"positive", "negative"}.""";

    private enum Split
    {
        Contrast,
        Dev,
        Test,
        Map,
    }

    /// <summary>Reads behaviours.</summary>
    /// <param name="path">A .jsonl or .json file, a folder of them, or a folder with generate/ and test/.</param>
    /// <param name="mapText">File of documents that have nothing to do with the behaviours, as `train-map --text` takes it.</param>
    /// <param name="note">Takes what is worth knowing.</param>
    /// <exception cref="CommandException">A file cannot be read, an item is malformed, or a behaviour has too few.</exception>
    public static BehaviourSet Read(string path, string mapText, Action<string> note)
    {
        var lists = ListsOf(path);
        var behaviours = new List<Behaviour>();
        var map = new List<Document>();
        foreach (var (name, files) in lists)
        {
            behaviours.Add(BehaviourOf(name, files, map, note));
        }

        string digest = BehaviourSet.DigestOf([.. lists.SelectMany(list => list.Files).Select(file => file.Path)]);
        var generic = Generic(mapText);
        return new BehaviourSet(path, behaviours, digest, Depths, LearnPosition.LastContent, text => text == MapText.BehaviourFree
            ? generic
            : generic with { Digest = digest, Documents = WithinLimit(map) });
    }

    private static (string Name, IReadOnlyList<(string Path, (double UpTo, Split Split)[] Shares)> Files)[] ListsOf(string path)
    {
        if (File.Exists(path))
        {
            return [(Path.GetFileNameWithoutExtension(path), [(path, OneList)])];
        }

        string generate = Path.Combine(path, "generate");
        string test = Path.Combine(path, "test");
        var found = Directory.Exists(generate) && Directory.Exists(test)
            ? Directory.GetDirectories(generate).Select(Path.GetFileName).Order(StringComparer.Ordinal).Select(name => (name!, Files(
                (Directory.GetFiles(Path.Combine(generate, name!), "*.json"), LearnList),
                (Directory.Exists(Path.Combine(test, name!)) ? Directory.GetFiles(Path.Combine(test, name!), "*_ab.json") : [], TestList)))).ToArray()
            : Directory.Exists(path) ? [.. Directory.GetFiles(path).Where(file => Path.GetExtension(file) is ".jsonl" or ".json").Order(StringComparer.Ordinal).Select(file => (Path.GetFileNameWithoutExtension(file), Files(([file], OneList))))]
            : throw new CommandException($"{path}: there is neither a file nor a folder.");
        return found.Length > 0 ? found : throw new CommandException($"{path}: there are no behaviours.", "A folder holds a .jsonl file for each behaviour, or generate/NAME/*.json and test/NAME/*_ab.json.");

        static IReadOnlyList<(string, (double, Split)[])> Files(params (string[] Paths, (double, Split)[] Shares)[] groups) =>
            [.. groups.SelectMany(group => group.Paths.Order(StringComparer.Ordinal).Select(file => (file, group.Shares)))];
    }

    private static Behaviour BehaviourOf(string name, IReadOnlyList<(string Path, (double UpTo, Split Split)[] Shares)> files, List<Document> map, Action<string> note)
    {
        var items = new Dictionary<Split, List<Item>> { [Split.Contrast] = [], [Split.Dev] = [], [Split.Test] = [], [Split.Map] = [] };
        var splitOf = new Dictionary<string, Split>();
        int repeated = 0;
        foreach (var (path, shares) in files)
        {
            foreach (var (element, where) in Elements(path))
            {
                var item = ItemOf(element, where);
                double place = Place(item.Text);
                var split = shares.First(share => place < share.UpTo).Split;
                // A question of the list to learn from that is in the other one too stays where it was first.
                if (splitOf.TryAdd(item.Text, split) || splitOf[item.Text] == split)
                {
                    items[split].Add(item);
                }
                else
                {
                    repeated++;
                }
            }
        }

        if (repeated > 0)
        {
            note($"{name}: {repeated} items are left out: their questions are among those to learn from.");
        }

        // Both answers in turn: what a map reads does not lean to one.
        map.AddRange(items[Split.Map].Select((item, i) => item.Document(i % 2 == 0)));
        var behaviour = new Behaviour(
            name,
            $"{items.Values.Sum(list => list.Count)} items of {string.Join(", ", files.Select(file => Path.GetFileName(file.Path)))}",
            Rate: 0,
            Detector: null,
            [.. items[Split.Contrast].Select(item => item.Pair())],
            [.. items[Split.Dev].Select(item => item.Prompt())],
            [.. items[Split.Test].Select(item => item.Prompt())]);
        RequireEnough(behaviour);
        return behaviour;
    }

    /// <summary>Checks that there is enough to learn from, to choose by and to test on.</summary>
    /// <exception cref="CommandException">There is not.</exception>
    public static void RequireEnough(Behaviour behaviour)
    {
        foreach (var (count, use) in new[] { (behaviour.Contrast.Count, "learn from"), (behaviour.Dev.Count, "choose by"), (behaviour.Test.Count, "test on") })
        {
            if (count < FewestOfEach)
            {
                throw new CommandException(
                    $"{behaviour.Name}: {count} items to {use}, and {FewestOfEach} are needed.",
                    "Items are split by a hash of their questions: 45% to learn from, 20% to choose by, 25% to test on and 10% for maps, so some 80 are enough.");
            }
        }
    }

    // One object a line, or one list of them.
    private static IEnumerable<(JsonElement Element, string Where)> Elements(string path)
    {
        if (path.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase))
        {
            foreach (var (line, number) in TextFiles.ReadLines(path))
            {
                yield return (TextFiles.Parse(path, number, line), $"{path}:{number}");
            }

            yield break;
        }

        var list = TextFiles.ParseFile(path);
        if (list.ValueKind != JsonValueKind.Array)
        {
            throw new CommandException($"{path}: not a list of items.", Layouts);
        }

        int i = 0;
        foreach (var element in list.EnumerateArray())
        {
            yield return (element, $"{path}: item {i++}");
        }
    }

    private static Item ItemOf(JsonElement element, string where)
    {
        if (Text("question") is { } question)
        {
            return Item.Of(Chats.Of(null, question.Trim()), Needed("answer_matching_behavior"), Needed("answer_not_matching_behavior"));
        }

        if (Text("prompt") is { } prompt)
        {
            return prompt.Length > 0 ? new Item(prompt, Needed("positive"), Needed("negative"), null) : throw new CommandException($"{where}: \"prompt\" is empty.", Layouts);
        }

        if (Text("positive") is { } positive && Text("negative") is { } negative)
        {
            return OfOneBeginning(positive, negative);
        }

        if (IsList("positive") && IsList("negative"))
        {
            var with = Chats.Of(element.GetProperty("positive"), $"{where}: positive");
            var without = Chats.Of(element.GetProperty("negative"), $"{where}: negative");
            return with.Messages.Count > 1 && with.Messages.SkipLast(1).SequenceEqual(without.Messages.SkipLast(1)) && with.Messages[^1].Role == "assistant"
                ? Item.Of(Chats.WithoutLast(with), with.Messages[^1].Content, without.Messages[^1].Content)
                : throw new CommandException($"{where}: the two chats must be the same but for their last message, the assistant's.", Layouts);
        }

        throw new CommandException($"{where}: not an item.", Layouts);

        string? Text(string name) => element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

        bool IsList(string name) => element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Array;

        string Needed(string name) => Text(name) is { } text && !string.IsNullOrWhiteSpace(text) ? text : throw new CommandException($"{where}: no text \"{name}\".", Layouts);

        // The beginning ends before a word.
        Item OfOneBeginning(string one, string other)
        {
            int same = one.AsSpan().CommonPrefixLength(other);
            int space = same == 0 ? -1 : one.LastIndexOf(' ', Math.Min(same, one.Length - 1), Math.Min(same, one.Length - 1) + 1);
            return space > 0 && space < other.Length
                ? new Item(one[..space], one[space..], other[space..], null)
                : throw new CommandException($"{where}: the two texts must begin alike: what they share is the prompt, and what follows are the two ways on.", Layouts);
        }
    }

    private static MapDocuments Generic(string path)
    {
        var documents = TextFiles.ReadDocuments(path).ToArray();
        int heldOut = Math.Min(MostHeldOut, (int)(documents.Length * HeldOutShare));
        string[] texts = [.. documents.TakeLast(heldOut).Select(document => document.Chat is null ? document.Text : Chats.Plain(document.Chat))];
        return texts.Length > 1
            ? new MapDocuments(BehaviourSet.DigestOf(path), Window: 1, WithinLimit(documents.SkipLast(heldOut)), texts)
            : throw new CommandException($"{path}: {documents.Length} documents are too few for a map and, held out from it, for what steering costs.", "Give a file of at least 10 texts, one a line, or .jsonl.");
    }

    private static Document[] WithinLimit(IEnumerable<Document> documents)
    {
        long characters = 0;
        return [.. documents.TakeWhile(document => (characters += document.CalculateSize()) <= MostMapCharacters)];
    }

    private static double Place(string text) => BitConverter.ToUInt64(SHA256.HashData(Encoding.UTF8.GetBytes(text))) / ((double)ulong.MaxValue + 1);

    /// <param name="Text">The prompt as a text.</param>
    /// <param name="Positive">What follows it and shows the behaviour.</param>
    /// <param name="Negative">What follows it and does not.</param>
    /// <param name="Exchange">The same as a chat; null where it is a text.</param>
    private sealed record Item(string Text, string Positive, string Negative, Exchange? Exchange)
    {
        public static Item Of(Chat question, string positive, string negative) => new(
            Chats.Plain(question), " " + positive.Trim(), " " + negative.Trim(), new Exchange(question, positive.Trim(), negative.Trim()));

        public FramedPair Pair() => new(Text + Letter(Positive), Text + Letter(Negative), [Text])
        {
            Exchange = Exchange is null ? null : new Exchange(Exchange.Chat, Letter(Exchange.Positive), Letter(Exchange.Negative)),
        };

        public BehaviourPrompt Prompt() => new(Text, Positive, Negative, [Text]) { Chat = Exchange?.Chat };

        public Document Document(bool positive) => Exchange is { } exchange
            ? new Document { Chat = Chats.With(exchange.Chat, positive ? exchange.Positive : exchange.Negative) }
            : new Document { Text = Text + (positive ? Positive : Negative) };

        // Of an answer "(A)" the letter is the last token: there the states differ by what was chosen (2312.06681, section 3).
        private static string Letter(string answer) => answer.TrimStart() is ['(', not ')', ')'] ? answer[..^1] : answer;
    }
}

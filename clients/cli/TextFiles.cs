using System.Text.Json;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>Texts and contrast pairs from files: .jsonl with one object a line, anything else with one text a line.</summary>
internal static class TextFiles
{
    /// <summary>The texts of a file, read as they are asked for. Empty lines are passed over.</summary>
    /// <exception cref="CommandException">The file cannot be read, or a line of a .jsonl file has no "text".</exception>
    public static IEnumerable<string> ReadTexts(string path)
    {
        bool json = path.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase);
        foreach (var (line, number) in ReadLines(path))
        {
            yield return json ? Field(Parse(path, number, line), "text", path, number) : line;
        }
    }

    /// <summary>Texts with runs of each, from a .jsonl file: {"text", "spans": [[start, end], ...]} a line.</summary>
    /// <exception cref="CommandException">The file cannot be read, or a line is not such an object.</exception>
    public static IEnumerable<(string Text, IReadOnlyList<Span> Spans)> ReadSpans(string path)
    {
        foreach (var (line, number) in ReadLines(path))
        {
            var element = Parse(path, number, line);
            string text = Field(element, "text", path, number);
            yield return (text, SpansOf(element) ?? throw new CommandException($"{path}:{number}: no list \"spans\" of pairs of numbers.", "Such as {\"text\": \"The dog came home.\", \"spans\": [[0, 3], [4, 7]]}."));
        }
    }

    /// <summary>Documents of a file, as <see cref="ReadTexts"/>; a line of a .jsonl file may hold a chat instead: {"messages": [...]}.</summary>
    /// <exception cref="CommandException">The file cannot be read, or a line of a .jsonl file has neither.</exception>
    public static IEnumerable<Document> ReadDocuments(string path)
    {
        bool json = path.EndsWith(".jsonl", StringComparison.OrdinalIgnoreCase);
        foreach (var (line, number) in ReadLines(path))
        {
            var element = json ? Parse(path, number, line) : default;
            yield return !json ? new Document { Text = line }
                : element.ValueKind == JsonValueKind.Object && element.TryGetProperty("messages", out _) ? new Document { Chat = Chats.Of(element, $"{path}:{number}") }
                : new Document { Text = Field(element, "text", path, number) };
        }
    }

    /// <summary>Contrast pairs: {"positive","negative"} a line, each a text or a list of messages.</summary>
    /// <exception cref="CommandException">The file cannot be read, or a line is not such an object.</exception>
    public static IReadOnlyList<ContrastPair> ReadPairs(string path)
    {
        var pairs = new List<ContrastPair>();
        foreach (var (line, number) in ReadLines(path))
        {
            var element = Parse(path, number, line);
            var pair = new ContrastPair();
            if (IsChat(element, "positive"))
            {
                pair.PositiveChat = Chats.Of(element.GetProperty("positive"), $"{path}:{number}: positive");
            }
            else
            {
                pair.Positive = Field(element, "positive", path, number);
            }

            if (IsChat(element, "negative"))
            {
                pair.NegativeChat = Chats.Of(element.GetProperty("negative"), $"{path}:{number}: negative");
            }
            else
            {
                pair.Negative = Field(element, "negative", path, number);
            }

            pairs.Add(pair);
        }

        return pairs;
    }

    /// <summary>The lines that are not empty, with their numbers from 1.</summary>
    public static IEnumerable<(string Line, int Number)> ReadLines(string path)
    {
        IEnumerator<string> lines;
        try
        {
            lines = File.ReadLines(path).GetEnumerator();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{path}: cannot be read: {e.Message}", inner: e);
        }

        using (lines)
        {
            for (int number = 1; lines.MoveNext(); number++)
            {
                if (!string.IsNullOrWhiteSpace(lines.Current))
                {
                    yield return (lines.Current, number);
                }
            }
        }
    }

    /// <summary>A line of a .jsonl file.</summary>
    public static JsonElement Parse(string path, int number, string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            return document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw new CommandException($"{path}:{number}: not JSON: {e.Message}", "A .jsonl file holds one JSON object a line.", e);
        }
    }

    /// <summary>A .json file.</summary>
    /// <exception cref="CommandException">It cannot be read, or is no JSON.</exception>
    public static JsonElement ParseFile(string path)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(path));
            return document.RootElement.Clone();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            throw new CommandException($"{path}: {(e is JsonException ? "not JSON" : "cannot be read")}: {e.Message}", inner: e);
        }
    }

    private static List<Span>? SpansOf(JsonElement element)
    {
        if (!element.TryGetProperty("spans", out var list) || list.ValueKind != JsonValueKind.Array)
        {
            return null;
        }

        var spans = new List<Span>();
        foreach (var pair in list.EnumerateArray())
        {
            if (pair.ValueKind != JsonValueKind.Array || pair.GetArrayLength() != 2 || !IsNumber(pair[0], out uint start) || !IsNumber(pair[1], out uint end))
            {
                return null;
            }

            spans.Add(new Span { Start = start, End = end });
        }

        return spans;
    }

    private static bool IsNumber(JsonElement element, out uint number)
    {
        number = 0;
        return element.ValueKind == JsonValueKind.Number && element.TryGetUInt32(out number);
    }

    private static bool IsChat(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind is JsonValueKind.Array or JsonValueKind.Object;

    /// <summary>A string of an object.</summary>
    public static string Field(JsonElement element, string name, string path, int number) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new CommandException($"{path}:{number}: no string \"{name}\".");
}

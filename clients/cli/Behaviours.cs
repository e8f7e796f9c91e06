using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using LrtMesh.Cli.Evaluation;
using LrtMesh.V1;

namespace LrtMesh.Cli;

/// <summary>A prompt that leaves a behaviour open, and two ways on that make an item of multiple choice.</summary>
/// <param name="Text">The prompt.</param>
/// <param name="Positive">A continuation that shows the behaviour.</param>
/// <param name="Negative">One that does not.</param>
/// <param name="Frames">The ids of the templates (frames) that they were made from.</param>
internal sealed record BehaviourPrompt(string Text, string Positive, string Negative, IReadOnlyList<string> Frames)
{
    /// <summary>The same as a conversation, for models that read chats; null: it is a text for all.</summary>
    [JsonIgnore]
    public Chat? Chat { get; init; }

    /// <summary>As a model reads it.</summary>
    public PromptInput For(Model model) => new(Text, model.ReadsChats ? Chat : null);
}

/// <summary>Two texts that differ in a behaviour, and the templates that they were made from.</summary>
internal sealed record FramedPair(string Positive, string Negative, IReadOnlyList<string> Frames)
{
    /// <summary>The question of which both are answered, and the answers, for models that read chats; null: they are texts for all.</summary>
    [JsonIgnore]
    public Exchange? Exchange { get; init; }

    /// <summary>As a model reads it.</summary>
    public ContrastPair For(Model model) => model.ReadsChats && Exchange is { } exchange
        ? new ContrastPair { PositiveChat = Chats.With(exchange.Chat, exchange.Positive), NegativeChat = Chats.With(exchange.Chat, exchange.Negative) }
        : new ContrastPair { Positive = Positive, Negative = Negative };
}

/// <summary>A conversation that the assistant is to go on with, and two answers.</summary>
internal sealed record Exchange(Chat Chat, string Positive, string Negative);

/// <summary>What a model goes on from: a text, or a conversation of which it is the plain form.</summary>
internal sealed record PromptInput(string Text, Chat? Chat = null);

/// <summary>Tells whether a text shows a behaviour: it does where the signs of one pole outnumber those of the other.</summary>
/// <param name="On">Matches the signs of the behaviour.</param>
/// <param name="Off">Matches the signs of its opposite; "" where that has none.</param>
internal sealed record Detector(string On, string Off)
{
    // A pattern comes from a file: it must not be able to hang the command.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private readonly Regex? _on = Compile(On);
    private readonly Regex? _off = Compile(Off);

    /// <summary>Whether the text shows the behaviour.</summary>
    public bool Shows(string text) => Count(_on, text) > Count(_off, text);

    private static int Count(Regex? regex, string text) => regex?.Count(text) ?? 0;

    private static Regex? Compile(string pattern) => pattern.Length == 0 ? null : new Regex(pattern, RegexOptions.CultureInvariant, Patience);
}

/// <summary>A behaviour: how it is seen, what its vector is learnt from, and the prompts on which steering is chosen and measured.</summary>
/// <param name="Rate">Share of the family's training texts that show it; 0 where there are none.</param>
/// <param name="Detector">Tells whether a text shows it; null: it shows in which of two answers the model takes to be more probable.</param>
internal sealed record Behaviour(
    string Name,
    string Description,
    double Rate,
    Detector? Detector,
    IReadOnlyList<FramedPair> Contrast,
    IReadOnlyList<BehaviourPrompt> Dev,
    IReadOnlyList<BehaviourPrompt> Test);

/// <summary>Which of the shipped texts a map is fitted on.</summary>
internal enum MapText
{
    /// <summary>Documents like any other.</summary>
    InDistribution,

    /// <summary>Documents in which the measured behaviours are absent.</summary>
    BehaviourFree,
}

/// <summary>Documents on which maps are fitted.</summary>
/// <param name="Digest">Of what they came from.</param>
/// <param name="Window">Tokens over whose mean states a map is fitted.</param>
/// <param name="Documents">The documents, in order.</param>
/// <param name="HeldOut">Texts that no map has seen, for what steering costs.</param>
internal sealed record MapDocuments(string Digest, int Window, IReadOnlyList<Document> Documents, IReadOnlyList<string> HeldOut);

/// <summary>
/// Behaviours, and the texts for maps: what ships with a family of models beside their weights, or what a user brings
/// (<see cref="BroughtBehaviours"/>). The four splits (contrast, dev, test, map) share no template; see docs on evaluation.
/// </summary>
internal sealed class BehaviourSet
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNameCaseInsensitive = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    // Of the large model's depth: early and late. Chosen on dev prompts of the family that ships.
    private static readonly double[] FamilyDepths = [0.2, 1.0];

    private readonly string _folder;
    private readonly Func<MapText, MapDocuments> _mapDocuments;
    private readonly ConcurrentDictionary<MapText, MapDocuments> _read = new();

    private BehaviourSet(string folder, IReadOnlyList<Behaviour> behaviours, string digest)
    {
        _folder = folder;
        _mapDocuments = text => FamilyDocuments(MapTextPath(folder, text), text);
        All = behaviours;
        Digest = digest;
        Depths = FamilyDepths;
        Position = LearnPosition.Mean;
    }

    /// <summary>A set that a user brings.</summary>
    /// <param name="path">Where it is from, for messages.</param>
    public BehaviourSet(string path, IReadOnlyList<Behaviour> behaviours, string digest, IReadOnlyList<double> depths, LearnPosition position, Func<MapText, MapDocuments> mapDocuments)
    {
        _folder = path;
        _mapDocuments = mapDocuments;
        All = behaviours;
        Digest = digest;
        Depths = depths;
        Position = position;
        Brought = true;
    }

    /// <summary>The family's folder where --family does not name one.</summary>
    public static string DefaultFolder => Path.Combine(Mesh.Home, "models", "tiny");

    /// <summary>The behaviours, by name.</summary>
    public IReadOnlyList<Behaviour> All { get; }

    /// <summary>Digest over all behaviour files.</summary>
    public string Digest { get; }

    /// <summary>Depths of the steered model at which vectors are tried on dev prompts: 0 is its first layer, 1 its last.</summary>
    public IReadOnlyList<double> Depths { get; }

    /// <summary>Whose hidden state stands for a text when a vector is learnt.</summary>
    public LearnPosition Position { get; }

    /// <summary>Whether a user brings it; otherwise it ships with a family.</summary>
    public bool Brought { get; }

    /// <summary>The same set of other behaviours.</summary>
    public BehaviourSet With(IReadOnlyList<Behaviour> behaviours) => new(_folder, behaviours, Digest, Depths, Position, _mapDocuments);

    /// <summary>The documents for maps.</summary>
    /// <exception cref="CommandException">They cannot be read.</exception>
    public MapDocuments MapDocuments(MapText text) => _read.GetOrAdd(text, _mapDocuments);

    /// <summary>The behaviour of that name.</summary>
    /// <exception cref="CommandException">There is none.</exception>
    public Behaviour this[string name] => All.FirstOrDefault(behaviour => behaviour.Name == name)
        ?? throw new CommandException($"There is no behaviour '{name}' in {_folder}.", $"There are: {string.Join(", ", All.Select(behaviour => behaviour.Name))}.");

    /// <summary>Reads behaviours/*.json of a family's folder, and checks that no two splits share a template.</summary>
    /// <exception cref="CommandException">A file is missing, malformed, or a template appears in two splits.</exception>
    public static BehaviourSet Load(string folder)
    {
        string behaviours = Path.Combine(folder, "behaviours");
        string[] files = Directory.Exists(behaviours) ? Directory.GetFiles(behaviours, "*.json") : [];
        if (files.Length == 0)
        {
            throw new CommandException($"{behaviours}: there are no behaviour files.", "Run through the launcher ./lrtmesh, or name the family's folder with --family.");
        }

        Array.Sort(files, StringComparer.Ordinal);
        var set = new BehaviourSet(folder, [.. files.Select(Read)], DigestOf(files));
        set.CheckSplits();
        return set;
    }

    /// <summary>The file that holds a family's map text.</summary>
    public static string MapTextPath(string folder, MapText text) =>
        Path.Combine(folder, "text", text == MapText.InDistribution ? "map.jsonl" : "map-behaviour-free.jsonl");

    /// <summary>Digest of a file's bytes: "sha256:" and 64 hexadecimal digits.</summary>
    public static string DigestOf(params string[] files)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string file in files)
        {
            hash.AppendData(File.ReadAllBytes(file));
        }

        return "sha256:" + Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static Behaviour Read(string file)
    {
        try
        {
            var behaviour = JsonSerializer.Deserialize<Behaviour>(File.ReadAllBytes(file), Json) ?? throw new JsonException("it is null");
            return behaviour.Detector is { On.Length: > 0 } ? behaviour : throw new CommandException($"{file}: detector.on is empty: no text could ever show the behaviour.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or RegexParseException)
        {
            throw new CommandException($"{file}: not a behaviour file: {e.Message}", inner: e);
        }
    }

    private static MapDocuments FamilyDocuments(string path, MapText text)
    {
        var documents = TextFiles.ReadDocuments(path).ToArray();
        int forMap = Math.Min(PairVectors.MapDocuments, documents.Length * 9 / 10);
        return new MapDocuments(
            DigestOf(path),
            text == MapText.InDistribution ? PairVectors.MapWindow : PairVectors.BehaviourFreeWindow,
            documents[..forMap],
            [.. documents.Skip(forMap).Select(document => document.Text)]);
    }

    // All behaviours together: a template that teaches one behaviour must not prompt for another either.
    private void CheckSplits()
    {
        var splitOf = new Dictionary<string, string>();
        var violations = new List<string>();
        Claim("contrast", All.SelectMany(behaviour => behaviour.Contrast).SelectMany(pair => pair.Frames));
        Claim("dev", All.SelectMany(behaviour => behaviour.Dev).SelectMany(text => text.Frames));
        Claim("test", All.SelectMany(behaviour => behaviour.Test).SelectMany(text => text.Frames));
        Claim("map", MapFrames());
        if (violations.Count > 0)
        {
            throw new CommandException($"{_folder}: splits must not share templates: {string.Join("; ", violations.Take(5))} ({violations.Count} in all).");
        }

        void Claim(string split, IEnumerable<string> frames)
        {
            foreach (string frame in frames.Distinct())
            {
                if (!splitOf.TryAdd(frame, split))
                {
                    violations.Add($"frame {frame} is in {splitOf[frame]} and {split}");
                }
            }
        }
    }

    private IEnumerable<string> MapFrames()
    {
        foreach (string path in Enum.GetValues<MapText>().Select(text => MapTextPath(_folder, text)))
        {
            foreach (var (line, number) in TextFiles.ReadLines(path))
            {
                var element = TextFiles.Parse(path, number, line);
                if (!element.TryGetProperty("frames", out var frames) || frames.ValueKind != JsonValueKind.Array)
                {
                    throw new CommandException($"{path}:{number}: no list \"frames\".");
                }

                foreach (var frame in frames.EnumerateArray())
                {
                    yield return frame.ToString();
                }
            }
        }
    }
}

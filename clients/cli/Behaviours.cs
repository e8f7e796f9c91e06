using System.Security.Cryptography;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace LrtMesh.Cli;

/// <summary>A prompt that leaves a behaviour open, and two ways on that make an item of multiple choice.</summary>
/// <param name="Text">The prompt.</param>
/// <param name="Positive">A continuation that shows the behaviour.</param>
/// <param name="Negative">One that does not.</param>
/// <param name="Frames">The ids of the templates (frames) that they were made from.</param>
internal sealed record BehaviourPrompt(string Text, string Positive, string Negative, IReadOnlyList<string> Frames);

/// <summary>Two texts that differ in a behaviour, and the templates that they were made from.</summary>
internal sealed record FramedPair(string Positive, string Negative, IReadOnlyList<string> Frames);

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
internal sealed record Behaviour(
    string Name,
    string Description,
    double Rate,
    Detector Detector,
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

/// <summary>
/// What ships with a family of models beside their weights: its behaviours and the texts for maps. The four splits
/// (contrast, dev, test, map) share no template; see docs on evaluation.
/// </summary>
internal sealed class BehaviourSet
{
    private static readonly JsonSerializerOptions Json = new() { PropertyNameCaseInsensitive = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    private readonly string _folder;

    private BehaviourSet(string folder, IReadOnlyList<Behaviour> behaviours, string digest)
    {
        _folder = folder;
        All = behaviours;
        Digest = digest;
    }

    /// <summary>The family's folder where --family does not name one.</summary>
    public static string DefaultFolder => Path.Combine(Mesh.Home, "models", "tiny");

    /// <summary>The behaviours, by name.</summary>
    public IReadOnlyList<Behaviour> All { get; }

    /// <summary>Digest over all behaviour files.</summary>
    public string Digest { get; }

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

    /// <summary>The file that holds the map text.</summary>
    public string MapTextPath(MapText text) => MapTextPath(_folder, text);

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
            return behaviour.Detector.On.Length > 0 ? behaviour : throw new CommandException($"{file}: detector.on is empty: no text could ever show the behaviour.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or RegexParseException)
        {
            throw new CommandException($"{file}: not a behaviour file: {e.Message}", inner: e);
        }
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
        foreach (string path in Enum.GetValues<MapText>().Select(MapTextPath))
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

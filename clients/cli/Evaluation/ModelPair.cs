using System.Text.Json;

namespace LrtMesh.Cli.Evaluation;

/// <summary>Two models, and how they differ beside their size.</summary>
/// <param name="Source">The model in which vectors are learnt.</param>
/// <param name="Target">The model that is steered.</param>
/// <param name="Kind">One of <see cref="Kinds"/>.</param>
/// <param name="SourceFolder">Its checkpoint; null: whichever mesh is used holds it.</param>
/// <param name="TargetFolder">Likewise.</param>
internal sealed record ModelPair(string Source, string Target, string Kind, string? SourceFolder = null, string? TargetFolder = null)
{
    /// <summary>Only the size differs; the architecture; the tokenizer; the mixture of the training data.</summary>
    public static readonly string[] Kinds = ["same-family", "architecture", "tokenizer", "data"];

    private static readonly JsonSerializerOptions Json = new() { PropertyNameCaseInsensitive = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    /// <summary>Reads the pairs that are evaluated: pairs.json of a family's folder.</summary>
    /// <exception cref="CommandException">It is missing or malformed, or a kind is unknown.</exception>
    public static IReadOnlyList<ModelPair> Load(string folder) => Read(folder, "pairs.json");

    /// <summary>Reads the pairs of a family's sizes: sizes.json of its folder; none where there is no such file.</summary>
    /// <exception cref="CommandException">It is malformed, or a kind is unknown.</exception>
    public static IReadOnlyList<ModelPair> LoadSizes(string folder) => File.Exists(Path.Combine(folder, "sizes.json")) ? Read(folder, "sizes.json") : [];

    /// <summary>The other way round.</summary>
    public ModelPair Back() => new(Target, Source, Kind, TargetFolder, SourceFolder);

    private static IReadOnlyList<ModelPair> Read(string folder, string file)
    {
        string path = Path.Combine(folder, file);
        try
        {
            var pairs = JsonSerializer.Deserialize<ModelPair[]>(File.ReadAllBytes(path), Json) ?? [];
            foreach (var pair in pairs.Where(pair => !Kinds.Contains(pair.Kind)))
            {
                throw new CommandException($"{path}: '{pair.Kind}' is not a kind of pair.", $"Kinds are: {string.Join(", ", Kinds)}.");
            }

            return pairs.Length > 0 ? [.. pairs.Select(pair => pair with { SourceFolder = At(pair.SourceFolder), TargetFolder = At(pair.TargetFolder) })] : throw new CommandException($"{path}: there are no pairs.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{path}: not a list of pairs: {e.Message}", """It is [{"source":"tiny-medium","sourceFolder":"medium","target":"tiny-large","targetFolder":"large","kind":"same-family"}].""", e);
        }

        string? At(string? checkpoint) => checkpoint is null ? null : Path.GetFullPath(checkpoint, Path.GetFullPath(folder));
    }

    /// <summary>A model as it is given on the command line: a name that the mesh holds, or NAME=FOLDER of a checkpoint, or NAME=ORGANISATION/MODEL of the local Hugging Face cache.</summary>
    public static (string Name, string? Folder) Parse(string text) => text.Split('=', 2) is [var name, var checkpoint]
        ? (name, Directory.Exists(checkpoint) ? Path.GetFullPath(checkpoint) : checkpoint)
        : (text, null);

    /// <summary>Options of `up` by which a mesh holds the pairs' models: the sources in the extraction role, the targets in the generation role.</summary>
    public static IReadOnlyList<string> MeshOptions(IReadOnlyList<ModelPair> pairs) =>
    [
        .. Options("--extraction-model", pairs.Select(pair => (pair.Source, pair.SourceFolder))),
        .. Options("--generation-model", pairs.Select(pair => (pair.Target, pair.TargetFolder))),
    ];

    private static IEnumerable<string> Options(string option, IEnumerable<(string Name, string? Folder)> models) =>
        models.Distinct().Where(model => model.Folder is not null).SelectMany(model => new[] { option, $"{model.Name}={model.Folder}" });
}

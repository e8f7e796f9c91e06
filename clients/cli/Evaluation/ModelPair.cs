using System.Text.Json;

namespace LrtMesh.Cli.Evaluation;

/// <summary>Two models, and how they differ beside their size.</summary>
/// <param name="Source">The model in which vectors are learnt.</param>
/// <param name="Target">The model that is steered.</param>
/// <param name="Kind">One of <see cref="Kinds"/>.</param>
internal sealed record ModelPair(string Source, string Target, string Kind)
{
    /// <summary>Only the size differs; the architecture; the tokenizer; the mixture of the training data.</summary>
    public static readonly string[] Kinds = ["same-family", "architecture", "tokenizer", "data"];

    private static readonly JsonSerializerOptions Json = new() { PropertyNameCaseInsensitive = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    /// <summary>Reads pairs.json of a family's folder.</summary>
    /// <exception cref="CommandException">It is missing or malformed, or a kind is unknown.</exception>
    public static IReadOnlyList<ModelPair> Load(string folder)
    {
        string path = Path.Combine(folder, "pairs.json");
        try
        {
            var pairs = JsonSerializer.Deserialize<ModelPair[]>(File.ReadAllBytes(path), Json) ?? [];
            foreach (var pair in pairs.Where(pair => !Kinds.Contains(pair.Kind)))
            {
                throw new CommandException($"{path}: '{pair.Kind}' is not a kind of pair.", $"Kinds are: {string.Join(", ", Kinds)}.");
            }

            return pairs.Length > 0 ? pairs : throw new CommandException($"{path}: there are no pairs.");
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"{path}: not a list of pairs: {e.Message}", """It is [{"source":"tiny-medium","target":"tiny-large","kind":"same-family"}].""", e);
        }
    }
}

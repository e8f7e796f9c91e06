using LrtMesh.TestKit;

namespace LrtMesh.Services.Tests.Deployment;

/// <summary>A role's Dockerfile, read as far as the tests need it.</summary>
internal sealed class Dockerfile
{
    private readonly string[] _lines;

    private Dockerfile(string[] lines) => _lines = lines;

    /// <summary>Variables that the image sets.</summary>
    public IReadOnlyDictionary<string, string> Environment => Of("ENV").SelectMany(Words).Select(word => word.Split('=', 2)).ToDictionary(pair => pair[0], pair => pair[1]);

    /// <summary>Names of stages.</summary>
    public IEnumerable<string> Stages => Of("FROM").Select(Words).Where(words => words.Length == 3).Select(words => words[2]);

    /// <summary>What is copied from the repository, and where to.</summary>
    public IEnumerable<(string[] Sources, string Target)> Copies => Of("COPY").Where(line => !line.StartsWith("--from", StringComparison.Ordinal)).Select(Words).Select(words => (words[..^1], words[^1]));

    /// <summary>The lines up to and with the restore.</summary>
    public IEnumerable<string> Restore => _lines[Array.FindIndex(_lines, line => line.EndsWith("AS restore", StringComparison.Ordinal))..Array.FindIndex(_lines, line => line.EndsWith("AS publish", StringComparison.Ordinal))];

    /// <summary>Reads one, with continued lines joined and without comments.</summary>
    /// <param name="path">Relative to the repository.</param>
    public static Dockerfile Read(string path)
    {
        var text = File.ReadAllText(Path.Combine(RepositoryRoot.Find(), path)).Replace("\\\n", " ", StringComparison.Ordinal);
        return new([.. text.Split('\n').Where(line => line.Length > 0 && line[0] != '#')]);
    }

    /// <summary>What follows an instruction, each time that it comes.</summary>
    public IEnumerable<string> Of(string instruction) =>
        _lines.Where(line => line.StartsWith(instruction + " ", StringComparison.Ordinal)).Select(line => line[(instruction.Length + 1)..]);

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}

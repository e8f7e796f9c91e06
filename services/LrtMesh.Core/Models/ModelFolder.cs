using System.Text.RegularExpressions;

namespace LrtMesh.Core.Models;

/// <summary>
/// Finds a model on this machine: a folder, or a name as on the Hugging Face hub, looked up in the local cache of its tools. The
/// network is never asked.
/// </summary>
/// <remarks>
/// The cache holds <c>models--ORG--NAME/refs/REVISION</c>, whose text is a commit, and <c>snapshots/COMMIT/</c> with the files, which
/// are links into <c>blobs/</c>.
/// </remarks>
public static partial class ModelFolder
{
    private const string DefaultRevision = "main";

    /// <summary>The folder of a model.</summary>
    /// <param name="model">A folder; or NAME, ORG/NAME or ORG/NAME@REVISION, where a revision is a branch, a tag or a commit.</param>
    /// <returns>The folder with config.json and the weights.</returns>
    /// <exception cref="LrtMeshException">NotFound, saying where it was looked for.</exception>
    public static string Find(string model) => Find(model, CacheFolder(Environment.GetEnvironmentVariable));

    /// <summary>Where the cache lies: HF_HUB_CACHE, or hub/ in HF_HOME, or in huggingface/ of the user's cache.</summary>
    /// <param name="variable">Reads an environment variable.</param>
    internal static string CacheFolder(Func<string, string?> variable)
    {
        string? Given(string name) => variable(name) is { Length: > 0 } value ? ExpandHome(value) : null;
        var home = Given("HF_HOME") ?? Path.Combine(Given("XDG_CACHE_HOME") ?? ExpandHome("~/.cache"), "huggingface");
        return Given("HF_HUB_CACHE") ?? Given("HUGGINGFACE_HUB_CACHE") ?? Path.Combine(home, "hub");
    }

    /// <inheritdoc cref="Find(string)"/>
    internal static string Find(string model, string cache) => Directory.Exists(model) ? model : FindCached(model, cache);

    /// <summary>The folder of a model in a cache, by its name.</summary>
    internal static string FindCached(string model, string cache)
    {
        var name = HubName().Match(model);
        var folder = model.Length == 0 ? "" : Path.GetFullPath(model);
        if (!name.Success || model.Contains("..", StringComparison.Ordinal))
        {
            throw NotFound(model, $"there is no folder '{folder}', and it is no name such as org/name or org/name@revision either");
        }

        var repository = Path.Combine(cache, "models--" + name.Groups["name"].Value.Replace("/", "--", StringComparison.Ordinal));
        if (!Directory.Exists(repository))
        {
            throw NotFound(
                model,
                $"there is no folder {folder}, and none {repository} in the Hugging Face cache (from HF_HUB_CACHE, HF_HOME or its default); nothing is downloaded: fetch the model first");
        }

        var revision = name.Groups["revision"] is { Success: true, Value: var given } ? given : DefaultRevision;
        var snapshot = Path.Combine(repository, "snapshots", Commit(model, repository, revision));
        return Directory.Exists(snapshot) ? snapshot : throw NotFound(model, $"the cache has no folder {snapshot}");
    }

    /// <summary>The commit of a branch or tag; a revision that no reference names is a commit itself.</summary>
    private static string Commit(string model, string repository, string revision)
    {
        var reference = Path.Combine(repository, "refs", revision);
        if (!File.Exists(reference))
        {
            return CommitText().IsMatch(revision)
                ? revision
                : throw NotFound(model, $"there is no file {reference}, and '{revision}' is no commit of 40 digits; {Known(repository)}");
        }

        var length = new FileInfo(reference).Length;
        var commit = length <= 100 ? File.ReadAllText(reference).Trim() : "";
        return CommitText().IsMatch(commit)
            ? commit
            : throw new LrtMeshException(ErrorReason.DataLoss, $"{reference}: must hold a commit of 40 hexadecimal digits");
    }

    private static string Known(string repository)
    {
        var refs = new DirectoryInfo(Path.Combine(repository, "refs"));
        var known = refs.Exists ? refs.GetFiles("*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(refs.FullName, f.FullName)).Order(StringComparer.Ordinal).ToList() : [];
        return known.Count == 0 ? "it has no revisions" : $"it has: {string.Join(", ", known)}";
    }

    private static string ExpandHome(string path) => path is "~" || path.StartsWith("~/", StringComparison.Ordinal)
        ? Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) + path[1..]
        : path;

    private static LrtMeshException NotFound(string model, string description) => new(ErrorReason.NotFound, $"model '{model}': {description}");

    // The hub's own rule: letters, digits, '-', '_' and '.', at most one '/'; a revision may have several.
    [GeneratedRegex(@"\A(?<name>[A-Za-z0-9_][A-Za-z0-9_.\-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.\-]{0,95})?)(@(?<revision>[A-Za-z0-9_][A-Za-z0-9_.\-/]{0,254}))?\z", RegexOptions.ExplicitCapture)]
    private static partial Regex HubName();

    [GeneratedRegex(@"\A[0-9a-f]{40}\z")]
    private static partial Regex CommitText();
}

namespace LrtMesh.Core.Models;

/// <summary>
/// Finds a checkpoint that a request names, below the one folder that requests may load from. What lies there belongs to whoever runs the server;
/// nothing outside is read for a caller.
/// </summary>
public static class ModelRoot
{
    private const int MaxLinks = 40; // of one path, as Linux has it

    // What a checkpoint is read from lies in its folder, and chat templates one below.
    private static readonly EnumerationOptions ReadFiles = new() { RecurseSubdirectories = true, MaxRecursionDepth = 1, AttributesToSkip = 0, IgnoreInaccessible = false };

    /// <summary>The folder of a checkpoint, without links.</summary>
    /// <param name="checkpoint">A folder, absolute or from the root; or a name of the Hugging Face cache, as <see cref="ModelFolder.Find(string)"/> takes it.</param>
    /// <param name="root">The folder below which it must lie, with all its files, wherever links lead.</param>
    /// <param name="field">Proto path of the field that names it.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: a path that leaves the root. FailedPrecondition: links do, or it cannot be read. NotFound: nothing is there.</exception>
    public static string Find(string checkpoint, string root, string field)
    {
        var top = Path.GetFullPath(root);
        if (checkpoint.Length == 0 || checkpoint.Contains('\0', StringComparison.Ordinal) || checkpoint.Split('/').Contains("..") || !IsBelow(Path.Combine(top, checkpoint), top))
        {
            throw LrtMeshException.Invalid(field, "must be a folder below the role's model root, absolute or from there and without .., or a name such as org/name of a Hugging Face cache there");
        }

        try
        {
            return FindBelow(top, checkpoint, field);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not its message, which has the root's own path.
            throw LrtMeshException.Mismatch(field, $"'{checkpoint}' cannot be read: this role may not, or its disk fails");
        }
    }

    private static string FindBelow(string top, string checkpoint, string field)
    {
        var path = Path.Combine(top, checkpoint);
        var found = Directory.Exists(path) ? path
            : Path.IsPathRooted(checkpoint) ? throw LrtMeshException.NotFound(field, $"there is no folder '{checkpoint}'")
            : FindCached(checkpoint, field);
        var (folder, real) = (WithoutLinks(found, field), WithoutLinks(top, field));
        var outside = new DirectoryInfo(folder).EnumerateFileSystemInfos("*", ReadFiles).Prepend(new DirectoryInfo(folder)).FirstOrDefault(entry => !IsBelow(WithoutLinks(entry.FullName, field), real));
        return outside is null
            ? folder
            : throw LrtMeshException.Mismatch(field, $"'{(outside.FullName == folder ? checkpoint : outside.Name)}' lies outside the role's model root, or is a link that leads there");
    }

    private static string FindCached(string name, string field)
    {
        try
        {
            return ModelFolder.FindCached(name, ModelFolder.CacheFolder(Environment.GetEnvironmentVariable));
        }
        catch (LrtMeshException e) when (e.Reason == ErrorReason.NotFound)
        {
            throw LrtMeshException.NotFound(field, $"there is no folder '{name}' below the role's model root, and no model of that name in its Hugging Face cache");
        }
    }

    private static bool IsBelow(string path, string top) =>
        Path.GetFullPath(path).StartsWith(Path.TrimEndingDirectorySeparator(top) + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    /// <summary>A path in which each part that is a link is replaced by what it leads to.</summary>
    private static string WithoutLinks(string path, string field)
    {
        var resolved = Path.GetPathRoot(path)!;
        var rest = new Stack<string>();
        Add(path);
        for (var links = 0; rest.TryPop(out var part);)
        {
            var next = Path.GetFullPath(Path.Combine(resolved, part)); // a link may have .. in it
            if (part == ".." || new FileInfo(next).LinkTarget is not { } target)
            {
                resolved = next;
                continue;
            }

            if (++links > MaxLinks)
            {
                throw LrtMeshException.Mismatch(field, $"'{Path.GetFileName(path)}' has more than {MaxLinks} links in it");
            }

            resolved = Path.IsPathRooted(target) ? Path.GetPathRoot(target)! : resolved;
            Add(target);
        }

        return resolved;

        void Add(string parts)
        {
            foreach (var part in parts.Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries).Reverse())
            {
                rest.Push(part);
            }
        }
    }
}

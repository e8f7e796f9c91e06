namespace LrtMesh.TestKit;

/// <summary>The folder of the repository that the tests were built from.</summary>
public static class RepositoryRoot
{
    /// <summary>The nearest folder above the tests' output that holds LrtMesh.sln.</summary>
    public static string Find()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "LrtMesh.sln")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException($"{AppContext.BaseDirectory} is not below the repository");
        }

        return folder;
    }
}

namespace LrtMesh.Core.Tests.Chat;

/// <summary>The data with known outcomes that is committed.</summary>
internal static class GoldenFiles
{
    /// <summary>tests/golden.</summary>
    public static string Folder { get; } = Path.Combine(Root(), "tests", "golden");


    private static string Root()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder!.FullName, "LrtMesh.sln")))
        {
            folder = folder.Parent;
        }

        return folder.FullName;
    }
}

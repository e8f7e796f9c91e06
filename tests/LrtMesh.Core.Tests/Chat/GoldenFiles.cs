using LrtMesh.TestKit;

namespace LrtMesh.Core.Tests.Chat;

/// <summary>The data with known outcomes that is committed.</summary>
internal static class GoldenFiles
{
    /// <summary>tests/golden.</summary>
    public static string Folder { get; } = Path.Combine(RepositoryRoot.Find(), "tests", "golden");
}

namespace LrtMesh.Extraction;

internal static class Program
{
    private static void Main() { }
}

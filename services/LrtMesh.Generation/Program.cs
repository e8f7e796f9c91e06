namespace LrtMesh.Generation;

internal static class Program
{
    private static void Main() { }
}

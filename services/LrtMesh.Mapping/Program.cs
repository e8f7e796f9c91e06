namespace LrtMesh.Mapping;

internal static class Program
{
    private static void Main() { }
}

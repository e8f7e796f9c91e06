using System.IO.Compression;
using TorchSharp;

namespace LrtMesh.Core.Tests.Native;

/// <summary>TorchSharp's package as NuGet keeps it: the unpacked library, and the archive that it was unpacked from.</summary>
internal static class NuGetTorch
{
    private const string LibraryInPackage = "runtimes/linux-x64/native/libLibTorchSharp.so";

    /// <summary>The unpacked package. The output's TorchSharp.dll is a link into it, or it lies where NuGet keeps packages by default.</summary>
    public static string Folder { get; } = Find();

    /// <summary>The library that every project on this machine shares.</summary>
    public static string Library { get; } = Path.Combine(Folder, LibraryInPackage);

    /// <summary>The library's bytes as they were published.</summary>
    public static byte[] PublishedBytes()
    {
        using var package = ZipFile.OpenRead(Directory.GetFiles(Folder, "*.nupkg").Single());
        using var content = package.GetEntry(LibraryInPackage)!.Open();
        using var bytes = new MemoryStream();
        content.CopyTo(bytes);
        return bytes.ToArray();
    }

    private static string Find()
    {
        if (new FileInfo(typeof(torch).Assembly.Location).ResolveLinkTarget(returnFinalTarget: true) is { } assembly)
        {
            return Path.GetFullPath(Path.Combine(assembly.FullName, "../../.."));
        }

        var packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget/packages");
        var version = typeof(torch).Assembly.GetName().Version!.ToString(3);
        return Path.Combine(packages, "torchsharp", version);
    }
}

using System.Diagnostics;
using System.Text.Json;
using LrtMesh.TestKit;
using Xunit;

namespace LrtMesh.Core.Tests.Native;

/// <summary>NativeTorch.targets on files of the test's own, run by MSBuild as in a build.</summary>
public sealed class MendNativeTorchTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("lrtmesh-mend-").FullName;

    [Fact]
    public async Task A_mended_copy_takes_the_libraries_place_and_nothing_is_written_through_a_link()
    {
        var library = PutLibrary(NuGetTorch.PublishedBytes());
        // What an earlier build may have left where the copy goes: a link to the library itself.
        var mended = Path.Combine(_folder, "obj/native/1.2.3/libLibTorchSharp.so");
        Directory.CreateDirectory(Path.GetDirectoryName(mended)!);
        File.CreateSymbolicLink(mended, library);
        File.SetLastWriteTimeUtc(mended, DateTime.UtcNow.AddHours(-1)); // the link's own time

        var (exit, output) = await Build("true");

        Assert.True(exit == 0, output);
        Assert.Equal([mended], Items(output));
        Assert.Null(new FileInfo(mended).LinkTarget);
        Assert.Equal(NuGetTorch.PublishedBytes(), File.ReadAllBytes(library));
        Assert.Single(NuGetTorch.PublishedBytes().Zip(File.ReadAllBytes(mended)), pair => pair.First != pair.Second);
        Assert.Equal([mended], Directory.GetFiles(Path.GetDirectoryName(mended)!));

        var written = File.GetLastWriteTimeUtc(mended);
        (exit, output) = await Build("true");

        Assert.True(exit == 0, output);
        Assert.Equal([mended], Items(output));
        Assert.Equal(written, File.GetLastWriteTimeUtc(mended));
    }

    [Fact]
    public async Task The_original_stays_where_mending_is_turned_off()
    {
        var library = PutLibrary(NuGetTorch.PublishedBytes());

        var (exit, output) = await Build("false");

        Assert.True(exit == 0, output);
        Assert.Equal([library], Items(output));
        Assert.False(Directory.Exists(Path.Combine(_folder, "obj")));
    }

    [Fact]
    public async Task A_version_that_the_library_really_uses_is_not_made_weak()
    {
        PutLibrary(NuGetTorch.PublishedBytes());

        var (exit, output) = await Build("true", "-p:NativeTorchWeakVersion=GLIBCXX_3.4.21");

        Assert.NotEqual(0, exit);
        Assert.Contains("it really uses _Z", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(5000)]
    public async Task A_damaged_library_fails_the_build_and_is_named(int bytes)
    {
        var library = PutLibrary(NuGetTorch.PublishedBytes()[..bytes]);

        var (exit, output) = await Build("true");

        Assert.NotEqual(0, exit);
        Assert.Contains($"{library} cannot be mended", output, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string PutLibrary(byte[] content)
    {
        var library = Path.Combine(_folder, "cache/libLibTorchSharp.so");
        Directory.CreateDirectory(Path.GetDirectoryName(library)!);
        File.WriteAllBytes(library, content);
        return library;
    }

    /// <summary>Runs the target with the item that NuGet would have given it; prints that item as JSON when it is done.</summary>
    private async Task<(int Exit, string Output)> Build(string mend, params string[] more)
    {
        var targets = Path.Combine(RepositoryRoot.Find(), "services/LrtMesh.Core/NativeTorch.targets");
        var project = Path.Combine(_folder, "mend.proj");
        await File.WriteAllTextAsync(project, $"""
            <Project>
              <Import Project="{targets}" />
              <PropertyGroup><IntermediateOutputPath>{_folder}/obj/</IntermediateOutputPath></PropertyGroup>
              <ItemGroup><NativeCopyLocalItems Include="{_folder}/cache/libLibTorchSharp.so" NuGetPackageVersion="1.2.3" /></ItemGroup>
            </Project>
            """);
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        string[] arguments =
            ["msbuild", project, "-t:UseMendedNativeTorch", "-getItem:NativeCopyLocalItems", $"-p:MendNativeTorch={mend}", "-nodeReuse:false", .. more];
        foreach (var argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        // A test runner started by MSBuild hands on MSBuild's own variables, which name another project's SDK.
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToList())
        {
            start.Environment.Remove(name);
        }

        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, output + await error);
    }

    private static string[] Items(string output)
    {
        using var json = JsonDocument.Parse(output);
        return [.. json.RootElement.GetProperty("Items").GetProperty("NativeCopyLocalItems").EnumerateArray()
            .Select(item => item.GetProperty("Identity").GetString()!)];
    }
}

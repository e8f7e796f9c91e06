using LrtMesh.Core.Tensors;
using Xunit;

namespace LrtMesh.Core.Tests.Native;

/// <summary>What a person reads where torch cannot be loaded. The loader's texts were recorded from real failures.</summary>
public sealed class NativeTorchMessageTests
{
    private const string Prefix =
        "Unable to load shared library '/app/libLibTorchSharp.so' or one of its dependencies. In order to help diagnose loading problems, "
        + "consider using a tool like strace. If you're using glibc, consider setting the LD_DEBUG environment variable: \n";

    [Theory]
    [InlineData(
        Prefix + "/lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by /app/libLibTorchSharp.so)\n",
        "libstdc++ lacks GLIBCXX_3.4.32", "-p:MendNativeTorch=true")]
    [InlineData(
        Prefix + "/lib64/libstdc++.so.6: version `CXXABI_1.3.13' not found (required by /app/libLibTorchSharp.so)\n",
        "needs a libstdc++ with CXXABI_1.3.13", "apt-get install libstdc++6")]
    [InlineData(
        Prefix + "/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.99' not found (required by /app/libtorch_cpu.so)\n",
        "libtorch_cpu.so needs glibc 2.99 or newer", "this system has 2.")]
    [InlineData(
        Prefix + "libstdc++.so.6: cannot open shared object file: No such file or directory\n",
        "libstdc++ is not installed", "apt-get install libstdc++6")]
    [InlineData(
        Prefix + "libtorch.so: cannot open shared object file: No such file or directory\n",
        "libtorch.so is missing", "dotnet build")]
    [InlineData(Prefix + "/app/libc10.so: file too short\n", "/app/libc10.so is damaged", "dotnet build")]
    [InlineData(
        Prefix + "Error loading shared library libstdc++.so.6: No such file or directory (needed by /app/libLibTorchSharp.so)\n",
        "C library is musl", "glibc 2.34")]
    [InlineData(
        Prefix + "/app/libtorch_cpu.so: cannot enable executable stack as shared object requires: Permission denied\n",
        "The system's loader says", "cannot enable executable stack")]
    public void A_failure_names_what_is_missing_and_what_to_do(string loaderError, string names, string remedy)
    {
        var message = NativeTorch.Explain(loaderError);

        Assert.StartsWith("torch cannot be loaded", message, StringComparison.Ordinal);
        Assert.Contains(names, message, StringComparison.Ordinal);
        Assert.Contains(remedy, message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_library_that_is_not_there_is_a_failed_precondition()
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName(), "libLibTorchSharp.so");

        var error = Assert.Throws<LrtMeshException>(() => NativeTorch.Load(path));

        Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
        Assert.Contains($"{path} is missing", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_no_library_is_told_from_this_systems_own_words()
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, new string('x', 4096));

            var error = Assert.Throws<LrtMeshException>(() => NativeTorch.Load(path));

            Assert.Equal(ErrorReason.FailedPrecondition, error.Reason);
            Assert.Contains($"{path} is damaged", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(path);
        }
    }
}

using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using TorchSharp;

namespace LrtMesh.Core.Tensors;

/// <summary>Torch's native library: loads it once, and says what is missing where it cannot be loaded.</summary>
public static partial class NativeTorch
{
    private const string FileName = "libLibTorchSharp.so";
    private const string SpinVariable = "GOMP_SPINCOUNT";

    private static readonly string CudaPath = Path.Combine(AppContext.BaseDirectory, "libtorch_cuda.so");

    // Torch learns of GPUs by this library's being in the process. Only where it lies beside the program is it asked for: TorchSharp would look for it elsewhere.
    private static readonly Lazy<bool> LoadedCuda = new(static () =>
    {
        EnsureLoaded();
        if (!File.Exists(CudaPath))
        {
            return false;
        }

        Load(CudaPath);
        return torch.cuda.is_available();
    });

    private static readonly Lazy<bool> Loaded = new(static () =>
    {
        // A torch thread that has nothing to do for the moment spins for some 100 microseconds before it sleeps, rather than for milliseconds, which on few
        // cores are taken from the threads that serve requests. It is read when the library is loaded, from the C environment.
        if (Environment.GetEnvironmentVariable(SpinVariable) is null && Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is null)
        {
            SetEnvironment(SpinVariable, "1000", overwrite: 1);
        }

        Load(Path.Combine(AppContext.BaseDirectory, FileName));

        // .NET's count honours the CPU quota of a container; torch by itself takes every core of the machine.
        torch.set_num_threads(Environment.ProcessorCount);
        return true;
    });

    /// <summary>Loads torch and sets its thread count to the CPUs this process may use. Call it before torch's first use.</summary>
    /// <exception cref="LrtMeshException">FailedPrecondition: the library or something that it needs is missing or too old.</exception>
    public static void EnsureLoaded() => _ = Loaded.Value;

    /// <summary>GPUs that torch can compute on in this process.</summary>
    public static int Gpus => LoadedCuda.Value ? torch.cuda.device_count() : 0;

    /// <summary>Why there are none.</summary>
    public static string WhyNoGpu => File.Exists(CudaPath)
        ? "torch finds no GPU here (is there a driver that is new enough, and is CUDA_VISIBLE_DEVICES right?)"
        : "this build has torch for CPUs alone; build with -p:Torch=cuda for GPUs";

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetEnvironment(string name, string value, int overwrite);

    /// <summary>
    /// Loads one library by its full path. TorchSharp's own loading then finds it in the process; left to itself it would
    /// answer a failure by copying 480 MB of packages and hide the loader's words.
    /// </summary>
    internal static void Load(string path)
    {
        if (!File.Exists(path))
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, $"torch cannot be loaded: {path} is missing. {Rebuild}");
        }

        try
        {
            NativeLibrary.Load(path);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw new LrtMeshException(ErrorReason.FailedPrecondition, Explain(e.Message), e);
        }
    }

    /// <summary>A message for a person from what the dynamic loader said (glibc's dlerror, or musl's).</summary>
    internal static string Explain(string loaderError)
    {
        // musl tries names that glibc has; its wording differs, so it is recognised first.
        if (Musl().IsMatch(loaderError))
        {
            return "torch cannot be loaded: this system's C library is musl, and torch is built for glibc. "
                + "Use a system with glibc 2.34 or newer (Debian 12, Ubuntu 22.04, RHEL 9 or later).";
        }

        if (MissingVersion().Match(loaderError) is { Success: true } version)
        {
            return ExplainVersion(version.Groups["family"].Value, version.Groups["number"].Value, version.Groups["by"].Value);
        }

        if (MissingFile().Match(loaderError) is { Success: true } missing)
        {
            var file = missing.Groups["file"].Value;
            return Path.GetFileName(file) switch
            {
                "libstdc++.so.6" or "libgcc_s.so.1" =>
                    $"torch cannot be loaded: libstdc++ is not installed ({file} is missing). Install it: "
                    + "'apt-get install libstdc++6' (Debian, Ubuntu) or 'dnf install libstdc++' (Fedora, RHEL).",
                _ => $"torch cannot be loaded: {file} is missing. {Rebuild}",
            };
        }

        if (Damaged().Match(loaderError) is { Success: true } damaged)
        {
            return $"torch cannot be loaded: {damaged.Groups["file"].Value} is damaged or for another processor "
                + $"({damaged.Groups["why"].Value}; x86-64 is needed). {Rebuild}";
        }

        return $"torch cannot be loaded. The system's loader says: {loaderError.Trim()}";
    }

    private const string Rebuild =
        "It comes with the build: delete the bin and obj folders and run './lrtmesh' or 'dotnet build' again, "
        + "which restores the packages that it is taken from.";

    private static string ExplainVersion(string family, string number, string by) => family switch
    {
        "GLIBC" => $"torch cannot be loaded: {Path.GetFileName(by)} needs glibc {number} or newer, and this system has "
            + $"{GlibcVersion() ?? "an older one"}. glibc comes with the system: use Debian 12, Ubuntu 22.04, RHEL 9 or later, or a container of one.",
        "GLIBCXX" or "CXXABI" when by.EndsWith(FileName, StringComparison.Ordinal) && (family, number) == ("GLIBCXX", "3.4.32") =>
            "torch cannot be loaded: libstdc++ lacks GLIBCXX_3.4.32, which comes with GCC 13. Build on this system, or publish for it with "
            + "'-p:MendNativeTorch=true': either puts a copy in place that does without. Or install a newer libstdc++6 (Debian 13, Ubuntu 24.04 have it).",
        _ => $"torch cannot be loaded: {Path.GetFileName(by)} needs a libstdc++ with {family}_{number}, and this system's is older. "
            + "Install a newer one: 'apt-get install libstdc++6' or 'dnf upgrade libstdc++', or use Debian 12, Ubuntu 22.04, RHEL 9 or later.",
    };

    /// <summary>The running glibc's version, such as 2.36; null on another C library.</summary>
    private static string? GlibcVersion() =>
        NativeLibrary.TryLoad("libc.so.6", out var libc) && NativeLibrary.TryGetExport(libc, "gnu_get_libc_version", out var version)
            ? Marshal.PtrToStringUTF8(Marshal.GetDelegateForFunctionPointer<VersionText>(version)())
            : null;

    private delegate nint VersionText();

    [GeneratedRegex(@"Error loading shared library|Error relocating|ld-musl")]
    private static partial Regex Musl();

    [GeneratedRegex(@"version [`'](?<family>GLIBC|GLIBCXX|CXXABI)_(?<number>[\d.]+)' not found \(required by (?<by>[^)]+)\)")]
    private static partial Regex MissingVersion();

    [GeneratedRegex(@"(?<file>[^\s:]+): cannot open shared object file: No such file or directory")]
    private static partial Regex MissingFile();

    [GeneratedRegex(@"(?<file>[^\s:]+): (?<why>file too short|invalid ELF header|wrong ELF class[^\n]*|ELF file[^\n]*|cannot read file data[^\n]*)")]
    private static partial Regex Damaged();
}

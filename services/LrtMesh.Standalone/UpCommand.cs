using System.CommandLine;
using System.Diagnostics;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Extraction;
using LrtMesh.ServiceDefaults;

namespace LrtMesh.Standalone;

/// <summary>`up`: runs a mesh, or one role of it, until it is stopped.</summary>
internal static class UpCommand
{
    private static readonly Option<DirectoryInfo> DataDir = new("--data-dir")
    {
        Description = "Folder of the embedded store, which keeps vectors and maps.",
        DefaultValueFactory = _ => new DirectoryInfo(Path.Combine(Home, ".lrtmesh")),
    };

    private static readonly Option<FileInfo> Profile = new("--profile")
    {
        Description = "File to write the addresses to once all roles are healthy; other commands take it as --mesh.",
        DefaultValueFactory = _ => new FileInfo(Path.Combine(Home, ".lrtmesh", "mesh.json")),
    };

    private static readonly Option<int?> ParentPid = new("--parent-pid") { Description = "Stop when this process is gone." };

    private static readonly Option<string?> Redis = new("--redis") { Description = "Keep vectors and maps in this Redis, HOST:PORT, instead of the embedded store." };

    private static readonly Option<int> KeepVersions = new("--keep-versions")
    {
        Description = "Seconds that a version of a vector or a map stays readable once another has replaced it, the last eight at most; 0: none is kept.",
        HelpName = "SECONDS",
        DefaultValueFactory = _ => (int)TimeSpan.FromDays(1).TotalSeconds,
    };

    private static readonly Option<MeshRole?> Role = new("--role")
    {
        Description = "Run this role alone and add its address to the profile; needs --redis. Three such processes make one mesh.",
    };

    private static readonly Option<int> ExtractionPort = new("--extraction-port") { Description = "Port of the extraction role; 0 takes a free one." };
    private static readonly Option<int> MappingPort = new("--mapping-port") { Description = "Port of the mapping role; 0 takes a free one." };
    private static readonly Option<int> GenerationPort = new("--generation-port") { Description = "Port of the generation role; 0 takes a free one." };

    private static readonly Option<string[]> ExtractionModel = new("--extraction-model")
    {
        Description = $"A model of the extraction role, any number of times, instead of tiny-small and tiny-medium: {ModelSource.Form}.",
    };

    private static readonly Option<string[]> GenerationModel = new("--generation-model")
    {
        Description = $"A model of the generation role, any number of times, instead of tiny-large: {ModelSource.Form}.",
    };

    private static readonly Option<long> KvCacheBytes = new("--kv-cache-bytes")
    {
        Description = "Memory of the generation role for keys and values of live sequences, of each model. Default: an eighth of the memory.",
        DefaultValueFactory = _ => new ServingOptions().KvCacheBytes,
    };

    private static readonly Option<long> PrefixCacheBytes = new("--prefix-cache-bytes")
    {
        Description = "Memory of the generation role for prompts that were read, so that a common beginning is computed once; 0: none. Default: a sixteenth of the memory.",
        DefaultValueFactory = _ => new ServingOptions().PrefixCacheBytes,
    };

    private static readonly Option<bool> Deterministic = new("--deterministic")
    {
        Description = "Compute each sequence by itself: an answer is the same bit for bit in any company, and many at once are slower.",
    };

    private static readonly Option<ComputeDtype> Dtype = new("--dtype")
    {
        Description = "Type of the models' weights and products: float32, bfloat16, int8 (weights only), or auto, which says what it picked and why.",
        HelpName = "TYPE",
        DefaultValueFactory = _ => ComputeDtype.Auto,
    };

    private static readonly Option<string> Device = new("--device")
    {
        Description = $"Where to compute models: {DeviceChoice.Form}.",
        HelpName = "DEVICE",
        DefaultValueFactory = _ => DeviceChoice.Auto,
    };

    private static readonly Option<string?> Endpoints = new("--endpoints")
    {
        Description = "With --role mapping: URLs of the roles that serve hidden states, separated by commas. Default: those in the profile.",
    };

    private static readonly Option<DirectoryInfo?> TextRoot = new("--text-root")
    {
        Description = "Folder below which the mapping role may read texts that requests name.",
    };

    private static readonly Option<DirectoryInfo?> ModelRoot = new("--model-root")
    {
        Description = "Folder below which `models load` may find checkpoints; without it models can be neither loaded nor unloaded while the mesh runs.",
    };

    /// <summary>The repository's root, as the launcher sets it, or the current folder.</summary>
    public static string Home => Environment.GetEnvironmentVariable("LRTMESH_HOME") is { Length: > 0 } home ? home : Directory.GetCurrentDirectory();

    public static Command Create()
    {
        var command = new Command("up", "Run a mesh: extraction, mapping and generation over gRPC on this machine, with an embedded store, until Ctrl+C.")
        {
            DataDir, Profile, ParentPid, Redis, KeepVersions, Role, ExtractionPort, MappingPort, GenerationPort, ExtractionModel, GenerationModel, Dtype, Device, KvCacheBytes, PrefixCacheBytes, Deterministic, Endpoints, TextRoot, ModelRoot,
        };
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var profile = parsed.GetValue(Profile)!.FullName;
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var parent = parsed.GetValue(ParentPid) is { } pid ? StopWithParentAsync(pid, stop) : Task.CompletedTask;
        try
        {
            await using var mesh = await RunningMesh.StartAsync(Options(parsed, profile), stop.Token);
            await MeshProfile.UpdateAsync(profile, current => Merge(current, mesh));
            try
            {
                Print(mesh, profile);
                await Task.Delay(Timeout.Infinite, stop.Token);
            }
            finally
            {
                await MeshProfile.UpdateAsync(profile, current => Remove(current, mesh));
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Told to stop, and everything has.
        }

        await stop.CancelAsync();
        await parent;
        return 0;
    }

    private static UpOptions Options(ParseResult parsed, string profile)
    {
        var endpoints = parsed.GetValue(Endpoints)?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var uris = endpoints?.Select(Endpoint).ToArray();
        return new UpOptions
        {
            DataFolder = parsed.GetValue(DataDir)!.FullName,
            Redis = parsed.GetValue(Redis),
            KeepVersions = TimeSpan.FromSeconds(parsed.GetValue(KeepVersions)),
            Role = parsed.GetValue(Role),
            ExtractionPort = parsed.GetValue(ExtractionPort),
            MappingPort = parsed.GetValue(MappingPort),
            GenerationPort = parsed.GetValue(GenerationPort),
            ExtractionModels = Models(parsed.GetValue(ExtractionModel), "--extraction-model", "small", "medium"),
            GenerationModels = Models(parsed.GetValue(GenerationModel), "--generation-model", "large"),
            TextRoot = parsed.GetValue(TextRoot)?.FullName,
            ModelRoot = parsed.GetValue(ModelRoot)?.FullName,
            Serving = new ServingOptions
            {
                KvCacheBytes = parsed.GetValue(KvCacheBytes),
                PrefixCacheBytes = parsed.GetValue(PrefixCacheBytes),
                Deterministic = parsed.GetValue(Deterministic),
            },
            Dtype = parsed.GetValue(Dtype),
            Device = parsed.GetValue(Device)!,
            Endpoints = () => uris ?? MeshProfile.Read(profile).Endpoints,
        };
    }

    private static Uri Endpoint(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" or "dns"
            ? uri!
            : throw LrtMeshException.Invalid("--endpoints", $"must be URLs such as http://127.0.0.1:5001, not '{text}'");

    private static IReadOnlyList<ModelSource> Models(string[]? given, string option, params string[] sizes) => given is { Length: > 0 }
        ? [.. given.Select(text => ModelSource.Parse(text) ?? throw LrtMeshException.Invalid(option, $"must be {ModelSource.Form}; not '{text}'"))]
        : [.. sizes.Select(size => new ModelSource($"tiny-{size}", Path.Combine(Home, "models", "tiny", size)))];

    private static MeshProfile Merge(MeshProfile current, RunningMesh mesh) => new(
        AddressOf(mesh.Extraction) ?? current.Extraction,
        AddressOf(mesh.Mapping) ?? current.Mapping,
        AddressOf(mesh.Generation) ?? current.Generation,
        mesh.Store);

    /// <summary>Takes out the addresses of this process; one that another process has written since stays.</summary>
    private static MeshProfile Remove(MeshProfile current, RunningMesh mesh) => current with
    {
        Extraction = current.Extraction == AddressOf(mesh.Extraction) ? null : current.Extraction,
        Mapping = current.Mapping == AddressOf(mesh.Mapping) ? null : current.Mapping,
        Generation = current.Generation == AddressOf(mesh.Generation) ? null : current.Generation,
    };

    private static string? AddressOf(RoleHost? role) => role?.Address.GetLeftPart(UriPartial.Authority);

    private static void Print(RunningMesh mesh, string profile)
    {
        foreach (var (name, role) in new[] { ("extraction", mesh.Extraction), ("mapping", mesh.Mapping), ("generation", mesh.Generation) })
        {
            if (role is not null)
            {
                var models = name == "mapping" ? "maps and vectors" : string.Join(", ", role.Service<ModelRegistry>().All.Select(model => $"{model.Name} ({$"{model.Description.WeightDtype}".ToLowerInvariant()}; {model.Description.DtypeReason}; {model.Description.Device})"));
                Console.WriteLine($"{name,-11} {AddressOf(role),-28} {models}");
            }
        }

        Console.WriteLine($"{"store",-11} {mesh.Store,-28} {mesh.Durability}");
        Console.WriteLine();
        Console.WriteLine("In another terminal:");
        Console.WriteLine($"  ./lrtmesh models --mesh {profile}");
        Console.WriteLine("Ctrl+C stops what runs here.");
    }

    private static async Task StopWithParentAsync(int pid, CancellationTokenSource stop)
    {
        try
        {
            using var parent = Process.GetProcessById(pid);
            await parent.WaitForExitAsync(stop.Token);
        }
        catch (ArgumentException)
        {
            // Gone already.
        }
        catch (OperationCanceledException)
        {
            return;
        }

        await stop.CancelAsync();
    }
}

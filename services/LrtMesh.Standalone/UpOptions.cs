using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Extraction;

namespace LrtMesh.Standalone;

/// <summary>The roles of a mesh.</summary>
public enum MeshRole
{
    /// <summary>Hidden states and vectors.</summary>
    Extraction,

    /// <summary>Maps.</summary>
    Mapping,

    /// <summary>Text.</summary>
    Generation,
}

/// <summary>What runs in this process.</summary>
public sealed record UpOptions
{
    /// <summary>Folder of the embedded store; not used with <see cref="Redis"/>.</summary>
    public required string DataFolder { get; init; }

    /// <summary>The store as HOST:PORT; null: embedded.</summary>
    public string? Redis { get; init; }

    /// <summary>How long a version of a vector or a map stays readable once another has replaced it; 0 keeps none.</summary>
    public TimeSpan KeepVersions { get; init; } = TimeSpan.FromDays(1);

    /// <summary>The role to run; null: all of them.</summary>
    public MeshRole? Role { get; init; }

    /// <summary>Models of the extraction role.</summary>
    public required IReadOnlyList<ModelSource> ExtractionModels { get; init; }

    /// <summary>Models of the generation role.</summary>
    public required IReadOnlyList<ModelSource> GenerationModels { get; init; }

    /// <summary>The type to compute models in.</summary>
    public ComputeDtype Dtype { get; init; }

    /// <summary>Where to compute models, as <see cref="DeviceChoice.Form"/> says.</summary>
    public string Device { get; init; } = DeviceChoice.Auto;

    /// <summary>How the generation role serves its models.</summary>
    public ServingOptions Serving { get; init; } = new();

    /// <summary>Port of the extraction role; 0: a free one.</summary>
    public int ExtractionPort { get; init; }

    /// <summary>Port of the mapping role; 0: a free one.</summary>
    public int MappingPort { get; init; }

    /// <summary>Port of the generation role; 0: a free one.</summary>
    public int GenerationPort { get; init; }

    /// <summary>Folder below which the mapping role may read texts; null: it reads none.</summary>
    public string? TextRoot { get; init; }

    /// <summary>Folder below which calls may load further models; null: they may neither load nor unload any.</summary>
    public string? ModelRoot { get; init; }

    /// <summary>Where a mapping role that runs alone finds hidden states, asked for at each job.</summary>
    public Func<IReadOnlyList<Uri>> Endpoints { get; init; } = () => [];

    /// <summary>Checks what goes together.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument, naming every option that is wrong.</exception>
    public void Check()
    {
        var wrong = new List<Violation>();
        if (Role is not null && Redis is null)
        {
            wrong.Add(new("--redis", "is needed with --role: roles in processes of their own share one store, such as --redis 127.0.0.1:6379"));
        }

        if (KeepVersions < TimeSpan.Zero)
        {
            wrong.Add(new("--keep-versions", $"must be 0 or more, not {KeepVersions.TotalSeconds}"));
        }

        foreach (var (name, folder) in new[] { ("--text-root", TextRoot), ("--model-root", ModelRoot) })
        {
            if (folder is not null && !Directory.Exists(folder))
            {
                wrong.Add(new(name, $"must be a folder, and there is none at '{folder}'"));
            }
        }

        foreach (var (name, port) in new[] { ("--extraction-port", ExtractionPort), ("--mapping-port", MappingPort), ("--generation-port", GenerationPort) })
        {
            if (port is < 0 or > ushort.MaxValue)
            {
                wrong.Add(new(name, $"must be 0 (a free one) to {ushort.MaxValue}, not {port}"));
            }
        }

        if (wrong.Count > 0)
        {
            throw new LrtMeshException(ErrorReason.InvalidArgument, wrong);
        }
    }
}

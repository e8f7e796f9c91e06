using LrtMesh.Core.Models;
using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.ServiceDefaults.Limits;

namespace LrtMesh.Extraction;

/// <summary>A model to load.</summary>
/// <param name="Name">The name by which requests will refer to it.</param>
/// <param name="Location">Its folder, in Hugging Face layout, or its name in the local Hugging Face cache.</param>
public sealed record ModelSource(string Name, string Location)
{
    /// <summary>How a source is written.</summary>
    public const string Form = "NAME=FOLDER or NAME=ORG/MODEL[@REVISION] of the Hugging Face cache; without NAME= it is called as its folder or MODEL";

    /// <summary>Reads a source as <see cref="Form"/> says; null if it is not that.</summary>
    public static ModelSource? Parse(string text)
    {
        var at = text.IndexOf('=', StringComparison.Ordinal);
        var location = text[(at + 1)..];
        var name = at >= 0 ? text[..at] : NameOf(location);
        return name is "" or "." or ".." || location.Length == 0 ? null : new(name, location);
    }

    private static string NameOf(string location)
    {
        var revision = Directory.Exists(location) ? -1 : location.IndexOf('@', StringComparison.Ordinal);
        return Path.GetFileName(Path.TrimEndingDirectorySeparator(revision < 0 ? location : location[..revision]));
    }
}

/// <summary>What a role that holds models is told before it starts.</summary>
public sealed record ModelRoleOptions : RoleOptions
{
    private const int DefaultMaxBatch = 256;

    /// <summary>The models to load, each name once.</summary>
    public required IReadOnlyList<ModelSource> Models { get; init; }

    /// <summary>The type to compute them in; default is auto.</summary>
    public ComputeDtype Dtype { get; init; }

    /// <summary>Where to compute them, as <see cref="DeviceChoice.Form"/> says.</summary>
    public string Device { get; init; } = DeviceChoice.Auto;

    /// <summary>Texts of one message of a stream of hidden states, at most; default is 256.</summary>
    public int MaxBatch { get; init; } = DefaultMaxBatch;

    /// <summary>Folder below which calls may load further models, and without which they may neither load nor unload any; default is null: none.</summary>
    public string? ModelRoot { get; init; }

    /// <summary>How they serve generation.</summary>
    public ServingOptions Serving { get; init; } = new();

    /// <summary>
    /// Reads <c>address</c>, <c>port</c>, <c>ops-port</c>, <c>log-format</c>, the store (<see cref="StoreSettings"/>), <c>models</c> (each as <see cref="ModelSource.Form"/> says, separated by commas),
    /// <c>model-root</c>, <c>dtype</c>, <c>device</c>, <c>kv-cache-bytes</c>, <c>prefix-cache-bytes</c>, <c>deterministic</c>,
    /// <c>max-prompt-tokens</c>, <c>max-batch</c>, and what <see cref="AccessOptions"/>, <see cref="LimitOptions"/> and <see cref="DrainOptions"/> have.
    /// </summary>
    /// <exception cref="LrtMesh.Core.LrtMeshException">InvalidArgument, naming every setting that is wrong.</exception>
    public static ModelRoleOptions From(RoleSettings settings)
    {
        var items = settings.Items("models");
        var models = items.Select(ModelSource.Parse).ToArray();
        if (items.Count == 0 || models.Contains(null))
        {
            settings.Wrong("models", $"must be {ModelSource.Form}; several separated by commas; not '{string.Join(',', items)}'");
        }

        var defaults = new ServingOptions();
        var options = new ModelRoleOptions
        {
            Address = settings.Address(),
            Port = settings.Port(),
            OpsPort = settings.OpsPort(),
            Otlp = settings.Otlp(),
            LogFormat = settings.LogFormat(),
            Redis = settings.Store(),
            Access = AccessOptions.From(settings, settings.Address()),
            Limits = LimitOptions.From(settings),
            Drain = DrainOptions.From(settings),
            Models = [.. models.OfType<ModelSource>()],
            Serving = new ServingOptions
            {
                KvCacheBytes = settings.Bytes("kv-cache-bytes", defaults.KvCacheBytes),
                PrefixCacheBytes = settings.Bytes("prefix-cache-bytes", defaults.PrefixCacheBytes),
                Deterministic = settings.Flag("deterministic"),
                PromptTokens = settings.Number("max-prompt-tokens", defaults.PromptTokens, least: 0),
            },
            ModelRoot = settings.Folder("model-root"),
            MaxBatch = settings.Number("max-batch", DefaultMaxBatch, least: 1),
            Dtype = settings.OneOf<ComputeDtype>("dtype"),
            Device = settings.Optional("device") ?? DeviceChoice.Auto,
        };
        settings.Check();
        return options;
    }
}

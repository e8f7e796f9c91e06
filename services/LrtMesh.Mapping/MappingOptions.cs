using LrtMesh.ServiceDefaults;
using LrtMesh.ServiceDefaults.Access;
using LrtMesh.ServiceDefaults.Limits;

namespace LrtMesh.Mapping;

/// <summary>What the mapping role is told before it starts.</summary>
public sealed record MappingOptions : RoleOptions
{
    /// <summary>
    /// Addresses of the roles that serve hidden states, asked for anew at each job. Nothing else is ever dialled: a request names
    /// models, and these say where they are.
    /// </summary>
    public required Func<IReadOnlyList<Uri>> Endpoints { get; init; }

    /// <summary>Bytes of memory that the moments of a job may take, and calls that push rows or import together as much again; default is half of what there is.</summary>
    public long MomentMemory { get; init; } = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2;

    /// <summary>Folder below which the role may read texts that requests name; null: it reads none.</summary>
    public string? TextRoot { get; init; }

    /// <summary>
    /// Reads <c>address</c>, <c>port</c>, <c>ops-port</c>, <c>log-format</c>, the store (<see cref="StoreSettings"/>), <c>endpoints</c> (URLs, separated by commas), <c>text-root</c>, and what
    /// <see cref="AccessOptions"/>, <see cref="LimitOptions"/>, <see cref="DrainOptions"/> and <see cref="PeerOptions"/> have.
    /// </summary>
    /// <exception cref="Core.LrtMeshException">InvalidArgument, naming every setting that is wrong.</exception>
    public static MappingOptions From(RoleSettings settings)
    {
        var endpoints = new List<Uri>();
        foreach (var item in settings.Items("endpoints"))
        {
            if (Uri.TryCreate(item, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https" or "dns")
            {
                endpoints.Add(uri!);
            }
            else
            {
                settings.Wrong("endpoints", $"must be URLs such as http://127.0.0.1:5001, separated by commas, not '{item}'");
            }
        }

        var options = new MappingOptions
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
            Peers = PeerOptions.From(settings, endpoints),
            Endpoints = () => endpoints,
            TextRoot = settings.Folder("text-root"),
        };
        settings.Check();
        return options;
    }
}

using Google.Protobuf;
using LrtMesh.Core;
using LrtMesh.V1;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>What an RPC asks of its caller. An RPC without a rule is refused.</summary>
/// <param name="Service">Full name of its service.</param>
/// <param name="Method">Its name; null: all of its service.</param>
/// <param name="Scopes">The scopes that it takes, all of them; none: any token will do.</param>
public sealed record RpcRule(string Service, string? Method, params string[] Scopes)
{
    private static readonly Dictionary<(string Service, string? Method), RpcRule> Rules = All().ToDictionary(rule => (rule.Service, rule.Method));

    /// <summary>Whether a call needs no token.</summary>
    public bool Open { get; private init; }

    /// <summary>Whether its calls only wait for news: they end as soon as the role begins to stop, and their clients go on with another replica.</summary>
    public bool Waits { get; private init; }

    /// <summary>Of an RPC that changes what is stored or loaded: the name of what it changes, from the first message of its request. Null: it changes nothing.</summary>
    public Func<IMessage, string?>? Changed { get; private init; }

    /// <summary>The rule of an RPC; null: it has none.</summary>
    /// <param name="path">/SERVICE/METHOD.</param>
    public static RpcRule? Of(string path)
    {
        var parts = path.Split('/');
        return parts.Length != 3 ? null : Rules.GetValueOrDefault((parts[1], parts[2])) ?? Rules.GetValueOrDefault((parts[1], null));
    }

    /// <summary>Lets a caller pass that has the scopes, or calls a role that asks for no tokens.</summary>
    /// <exception cref="LrtMeshException">PermissionDenied, naming those that are missing.</exception>
    internal void Check(Caller caller)
    {
        var missing = Scopes.Where(scope => !caller.Scopes.Contains(scope)).ToArray();
        if (missing.Length > 0 && !caller.Scopes.Contains(Scope.Admin) && !ReferenceEquals(caller, Caller.Anyone))
        {
            throw new LrtMeshException(ErrorReason.PermissionDenied, $"/{Service}/{Method} takes a token with the scope {string.Join(" and ", missing)}");
        }
    }

    private static IEnumerable<RpcRule> All() =>
    [
        new("grpc.health.v1.Health", "Check") { Open = true },
        new("grpc.health.v1.Health", "List") { Open = true },
        new("grpc.health.v1.Health", "Watch") { Open = true, Waits = true },
        new("grpc.reflection.v1alpha.ServerReflection", null),
        new("grpc.reflection.v1.ServerReflection", null),

        Rule("ModelService", "ListModels"),
        Rule("ModelService", "GetModel"),
        Rule("ModelService", "Tokenize"),
        Rule("ModelService", "LoadModel", Scope.Admin).Changing<LoadModelRequest>(request => request.Name),
        Rule("ModelService", "UnloadModel", Scope.Admin).Changing<UnloadModelRequest>(request => request.Name),

        Rule("ExtractionService", "ExtractHiddenStates", Scope.Extract),
        Rule("ExtractionService", "RunOn", Scope.Extract),
        Rule("ExtractionService", "LearnVector", Scope.Extract, Scope.MapWrite).Changing<LearnVectorRequest>(request => request.Name),

        Rule("GenerationService", "Generate", Scope.Generate),
        Rule("GenerationService", "Converse", Scope.Generate),
        Rule("GenerationService", "Score", Scope.Generate),

        Rule("VectorService", "GetVector", Scope.MapRead),
        Rule("VectorService", "ListVectors", Scope.MapRead),
        Rule("VectorService", "PutVector", Scope.MapWrite).Changing<PutVectorRequest>(request => request.Vector?.Name),
        Rule("VectorService", "DeleteVector", Scope.MapWrite).Changing<DeleteVectorRequest>(request => request.Name),

        Rule("MappingService", "GetMap", Scope.MapRead),
        Rule("MappingService", "ListMaps", Scope.MapRead),
        Rule("MappingService", "ApplyMap", Scope.MapRead),
        Rule("MappingService", "StreamMap", Scope.MapRead),
        Rule("MappingService", "ExportMap", Scope.MapRead),
        Rule("MappingService", "GetBasis", Scope.MapRead),
        Rule("MappingService", "ListBases", Scope.MapRead),
        Rule("MappingService", "ExportBasis", Scope.MapRead),
        Rule("MappingService", "GetMapJob", Scope.MapRead),
        Rule("MappingService", "ListMapJobs", Scope.MapRead),
        Rule("MappingService", "WatchMapJob", Scope.MapRead) with { Waits = true },
        Rule("MappingService", "CreateMapJob", Scope.MapWrite).Changing<CreateMapJobRequest>(request => request.Basis?.Name ?? request.Map),
        Rule("MappingService", "CancelMapJob", Scope.MapWrite).Changing<CancelMapJobRequest>(request => request.Id),
        Rule("MappingService", "PushRows", Scope.MapWrite).Changing<PushRowsRequest>(request => request.Spec?.Map),
        Rule("MappingService", "ImportMap", Scope.MapWrite).Changing<ImportMapRequest>(request => request.Content?.Map?.Name),
        Rule("MappingService", "ImportBasis", Scope.MapWrite).Changing<ImportBasisRequest>(request => request.Content?.Basis?.Name),
        Rule("MappingService", "DeleteMap", Scope.MapWrite).Changing<DeleteMapRequest>(request => request.Name),
        Rule("MappingService", "DeleteBasis", Scope.MapWrite).Changing<DeleteBasisRequest>(request => request.Name),
        Rule("MappingService", "CreateBasisMap", Scope.MapWrite).Changing<CreateBasisMapRequest>(request => request.Map),
        Rule("MappingService", "TransferVector", Scope.MapWrite).Changing<TransferVectorRequest>(request => request.Name),
    ];

    private static RpcRule Rule(string service, string method, params string[] scopes) => new($"lrtmesh.v1.{service}", method, scopes);

    private RpcRule Changing<T>(Func<T, string?> name)
        where T : class, IMessage => this with { Changed = message => message is T request ? name(request) : null };
}

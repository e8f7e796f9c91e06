using Grpc.Core;

namespace LrtMesh.ServiceDefaults.Access;

/// <summary>Who calls.</summary>
/// <param name="Subject">The token's sub; empty where calls need no token.</param>
/// <param name="Tenant">Whose vectors, maps and jobs the call sees; empty for the default tenant.</param>
/// <param name="Scopes">What it may do.</param>
public sealed record Caller(string Subject, string Tenant, IReadOnlySet<string> Scopes)
{
    private const string Key = "lrtmesh.caller";

    /// <summary>Whoever calls a role that asks for no tokens: it may call everything (<see cref="RpcRule.Check"/>), as the default tenant, within that one's limits.</summary>
    internal static Caller Anyone { get; } = new("", "", new HashSet<string>());

    /// <summary>The caller of a call.</summary>
    public static Caller Of(ServerCallContext context) => (Caller)context.UserState[Key];

    /// <summary>Notes who calls.</summary>
    internal void NoteIn(ServerCallContext context) => context.UserState[Key] = this;
}

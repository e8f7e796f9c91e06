namespace LrtMesh.Core.Store;

/// <summary>
/// Where a tenant's records lie. Those of the default tenant, whose name is empty, lie where all did before there were tenants. A tenant's name
/// has neither colons nor braces (<see cref="RecordName"/>), so that no key of one is a key of another.
/// </summary>
internal sealed record TenantKeys(string Tenant)
{
    /// <summary>What its keys start with.</summary>
    public string Root { get; } = Tenant.Length == 0 ? "lrtmesh:" : $"lrtmesh:tenant:{Tenant}:";
}

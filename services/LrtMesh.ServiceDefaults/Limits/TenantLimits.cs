using System.Collections.Concurrent;
using LrtMesh.ServiceDefaults.Access;

namespace LrtMesh.ServiceDefaults.Limits;

/// <summary>What tenants have used, each by itself.</summary>
internal sealed class TenantLimits(RoleOptions options)
{
    private const int MaxKept = 10_000;

    private readonly ConcurrentDictionary<string, TenantUse> _tenants = new();
    private readonly bool _any = options.Limits is not { TenantRequestsPerSecond: 0, TenantTokensPerMinute: 0, TenantBytesPerMinute: 0 };

    /// <summary>That of a caller's tenant. Who has the scope admin has no limits: other roles call with it, for all tenants.</summary>
    public TenantUse Of(Caller caller)
    {
        if (!_any || caller.Scopes.Contains(Scope.Admin))
        {
            return TenantUse.Unlimited;
        }

        if (_tenants.Count > MaxKept)
        {
            foreach (var (tenant, use) in _tenants.Where(kept => kept.Value.IsFull))
            {
                _tenants.TryRemove(new(tenant, use));
            }
        }

        return _tenants.GetOrAdd(caller.Tenant, tenant => new(tenant, options.Limits, TimeProvider.System));
    }
}
